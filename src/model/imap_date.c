#include "model/imap_date.h"

#include <glib.h>
#include <time.h>

static const int64_t CLAMP_MAX_S = ((int64_t)1 << 38) - 1;

/* Reads exactly `digits` digits; -1 if there are others. */
static int read_digits(const char *text, int digits)
{
    int value = 0;
    for (int i = 0; i < digits; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return -1;
        }
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

/* 0..11, or -1. */
static int read_month(const char *text)
{
    static const char *const names[] = {
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    for (int i = 0; i < 12; i++) {
        if (g_ascii_strncasecmp(text, names[i], 3) == 0) {
            return i;
        }
    }
    return -1;
}

static int days_in(int month, int year)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month] + (month == 1 && leap ? 1 : 0);
}

/* "17-Jul-1996 02:44:25" of fixed columns into `ret`. */
static bool read_moment(const char *text, struct tm *ret)
{
    int day = text[0] == ' ' ? read_digits(text + 1, 1) : read_digits(text, 2);
    int month = read_month(text + 3);
    int year = read_digits(text + 7, 4);
    int hour = read_digits(text + 12, 2);
    int minute = read_digits(text + 15, 2);
    int second = read_digits(text + 18, 2); /* 60 is a leap second */
    bool punctuated =
        text[2] == '-' && text[6] == '-' && text[11] == ' ' && text[14] == ':' && text[17] == ':';
    if (!punctuated || month < 0 || year < 0 || day < 1 || day > days_in(month, year)) {
        return false;
    }
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) {
        return false;
    }
    *ret = (struct tm){.tm_mday = day,
        .tm_mon = month,
        .tm_year = year - 1900,
        .tm_hour = hour,
        .tm_min = minute,
        .tm_sec = second};
    return true;
}

/* "-0700" in seconds. */
static bool read_zone(const char *text, int *ret_s)
{
    int hours = read_digits(text + 1, 2);
    int minutes = read_digits(text + 3, 2);
    if ((text[0] != '+' && text[0] != '-') || hours < 0 || hours > 23 || minutes < 0 ||
        minutes > 59) {
        return false;
    }
    int size = hours * 3600 + minutes * 60;
    *ret_s = text[0] == '-' ? -size : size;
    return true;
}

bool imap_date_read(const char *text, size_t len, int64_t *ret_s)
{
    enum { LEN = sizeof "17-Jul-1996 02:44:25 -0700" - 1 };
    struct tm moment;
    int zone_s = 0;
    if (len != LEN || text[20] != ' ' || !read_moment(text, &moment) ||
        !read_zone(text + 21, &zone_s)) {
        return false;
    }
    int64_t seconds = (int64_t)timegm(&moment) - zone_s;
    if (seconds < 0) {
        seconds = 0;
    }
    *ret_s = seconds > CLAMP_MAX_S ? CLAMP_MAX_S : seconds;
    return true;
}
