/* base/log.h - one line an event, to standard error (or where log_to says), as logfmt or JSON.
 *
 *     log_info("smtp", LOG_BYTES("id", session), LOG_BYTES("rcpt", address), LOG_TEXT("result", "missing"),
 *              LOG_INT("ms", 3));
 *  -> 2026-11-21T09:52:00.123Z info smtp id=req_… rcpt=<ana@example.org> result=missing ms=3
 * or, as JSON: {"time":"…","level":"info","component":"smtp","id":"req_…",…,"ms":3}
 *
 * Values are escaped and cut at LOG_VALUE_MAX here and nowhere else: no control character, no line break, no invalid
 * UTF-8 leaves (it becomes U+FFFD), and what is shaped like a secret is hidden (base/mask.h). A field that would pass
 * LOG_LINE_MAX is left out whole and cut=true is added. Any thread. A line is written with one write(2). Never log
 * secrets or mail content. */
#ifndef BASE_LOG_H
#define BASE_LOG_H
#include "base/id.h"

#define LOG_VALUE_MAX 512
#define LOG_LINE_MAX  4096

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_LOGFMT, LOG_JSON };

struct log_field {
    const char *name;
    enum { LOG_F_TEXT, LOG_F_INT } type;
    struct bytes text;
    int64_t number;
};

#define LOG_TEXT(name_, value)  ((struct log_field){ .name = (name_), .type = LOG_F_TEXT, .text = bytes_of(value) })
#define LOG_BYTES(name_, value) ((struct log_field){ .name = (name_), .type = LOG_F_TEXT, .text = (value) })
#define LOG_INT(name_, value)   ((struct log_field){ .name = (name_), .type = LOG_F_INT, .number = (int64_t)(value) })

void log_set(enum log_level least, enum log_format format);
void log_to(int fd); /* default 2 */
bool log_wants(enum log_level level);
/* Writes the line; a field whose text is NO_BYTES is left out. */
void log_write(enum log_level level, const char *component, const struct log_field *fields, size_t n);

#define LOG_AT(level, component, ...)                                                                                  \
    do {                                                                                                               \
        if (log_wants(level)) {                                                                                        \
            const struct log_field log_fields_[] = { __VA_ARGS__ };                                                    \
            log_write(level, component, log_fields_, sizeof log_fields_ / sizeof *log_fields_);                        \
        }                                                                                                              \
    } while (0)
#define log_debug(component, ...) LOG_AT(LOG_DEBUG, component, __VA_ARGS__)
#define log_info(component, ...)  LOG_AT(LOG_INFO, component, __VA_ARGS__)
#define log_warn(component, ...)  LOG_AT(LOG_WARN, component, __VA_ARGS__)
#define log_error(component, ...) LOG_AT(LOG_ERROR, component, __VA_ARGS__)
#endif
