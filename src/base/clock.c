#include "base/clock.h"

#include <limits.h>

int64_t clock_now_ms(void)
{
    struct timespec now = {0, 0};
    (void)clock_gettime(
        CLOCK_BOOTTIME, &now); /* cannot fail: the clock exists since Linux 2.6.39 */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_wall_s(void)
{
    struct timespec now = {0, 0};
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
    return (int64_t)now.tv_sec;
}

int64_t deadline_in(int64_t wait_ms)
{
    int64_t now = clock_now_ms();
    if (wait_ms <= 0) {
        return now;
    }
    return wait_ms >= DEADLINE_NEVER - now ? DEADLINE_NEVER : now + wait_ms;
}

int64_t deadline_left_ms(int64_t deadline_ms)
{
    if (deadline_ms == DEADLINE_NEVER) {
        return INT64_MAX;
    }
    int64_t now = clock_now_ms();
    return deadline_ms <= now ? 0 : deadline_ms - now;
}

int deadline_poll_ms(int64_t deadline_ms)
{
    if (deadline_ms == DEADLINE_NEVER) {
        return -1;
    }
    int64_t left = deadline_left_ms(deadline_ms);
    return left > INT_MAX ? INT_MAX : (int)left;
}
