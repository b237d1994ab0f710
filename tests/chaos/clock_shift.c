/* A wrong wall clock for one process: LD_PRELOAD this; CLOCK_SHIFT in seconds, or CLOCK_SHIFT_FILE that holds them and
   may change. Monotonic clocks stay right. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long shift(void)
{
    const char *seconds = getenv("CLOCK_SHIFT"), *file = getenv("CLOCK_SHIFT_FILE");
    char told[32] = "";
    if (file) {
        int open_file = open(file, O_RDONLY | O_CLOEXEC);
        if (open_file >= 0) {
            ssize_t length = read(open_file, told, sizeof told - 1);
            told[length > 0 ? length : 0] = 0;
            close(open_file);
            seconds = told;
        }
    }
    return seconds ? atol(seconds) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += shift();
    return failed;
}

int gettimeofday(struct timeval *now, void *zone)
{
    static int (*real)(struct timeval *, void *);
    if (!real)
        real = dlsym(RTLD_NEXT, "gettimeofday");
    int failed = real(now, zone);
    if (!failed)
        now->tv_sec += shift();
    return failed;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}
