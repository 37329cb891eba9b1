/* base/param_value.h - one value of a parameter: text in, number and canonical text out. For base/params.c, and for
 * whoever reads the items of a LIST. */
#ifndef BASE_PARAM_VALUE_H
#define BASE_PARAM_VALUE_H
#include "base/params.h"

#define PARAM_TEXT_MAX 4096 /* longest TEXT, CHOICE or LIST, whatever its row says */

/* `text` is the form the API shows: sizes in bytes, durations in seconds, true or false, lists without blanks. */
struct param_value {
    int64_t number; /* INT, SIZE, DURATION in milliseconds, BOOL */
    struct bytes text;
    char memory[PARAM_TEXT_MAX]; /* where text lies */
};

/* Checks type and bounds. Pure; ERR_INVALID names the parameter, the bounds and what was given. */
bool param_value_read(const struct param_row *row, struct bytes given, struct param_value *out, struct err *e);
#endif
