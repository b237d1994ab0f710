-- One message by a person's hand; returns its id. Called by operations.run_command and operations.emit.
SELECT buslog.emit(name => %b::text, payload => %b::text::jsonb, key => %b::text, source => %b::text, actor => %b::text)
