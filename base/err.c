#include "base/err.h"
#include "base/mask.h"
#include <stdarg.h>
#include <string.h>

static const struct err_row rows[ERR_CODES] = {
#define X(name, http, api, smtp, pop3, told) [ERR_##name] = { #name, http, api, smtp, pop3, told },
    ERR_LIST(X)
#undef X
};

const struct err_row *err_row(enum err_code code)
{
    return &rows[code < ERR_CODES ? code : ERR_INTERNAL];
}

const char *err_told(const struct err *e)
{
    const char *told = err_row(e->code)->told;

    return told ? told : e->message;
}

bool err_fill(struct err *e, enum err_code code, const char *where, const char *format, ...)
{
    va_list args;

    e->code = code;
    e->where = where;
    va_start(args, format);
    vsnprintf(e->message, sizeof e->message, format, args);
    va_end(args);
    e->message[mask_text(e->message, strlen(e->message))] = '\0';
    return false;
}

void die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}
