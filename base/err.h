/* base/err.h - one error, answered in every protocol.
 *
 *     bool mailbox_find(..., struct err *e)
 *     {
 *         if (nothing)
 *             return err_set(e, ERR_MISSING, "No mailbox <%.*s>", SHOW(address));
 *
 * A function that can fail returns bool and takes struct err *e last: on false it has filled e, on true it has not
 * touched it. A broken promise between our own functions is a bug: assert (kept in releases). A small allocation that
 * fails ends the program. `message` is for people and never holds a secret: what is shaped like one is hidden
 * (base/mask.h). What the last column of ERR_LIST says, where not NULL, is told to a client instead (the log keeps the
 * message).
 * RFC 5248 (enhanced codes), RFC 2449 and 3206 (POP3 response codes), RFC 9457 (problem answers). */
#ifndef BASE_ERR_H
#define BASE_ERR_H
#include <stdbool.h>
#include <stddef.h>

#define ERR_LIST(X) /* name, HTTP status, API code, SMTP, POP3, what the client is told instead of the message */      \
    X(NONE, 200, "", "250 2.0.0", "+OK", NULL)                                                                         \
    X(SYNTAX, 422, "validation_error", "501 5.5.4", "-ERR", NULL)                                                      \
    X(INVALID, 422, "validation_error", "554 5.6.0", "-ERR", NULL)                                                     \
    X(BAD_JSON, 400, "invalid_json", "554 5.6.0", "-ERR", NULL)                                                        \
    X(AUTH, 401, "unauthenticated", "535 5.7.8", "-ERR [AUTH]", NULL)                                                  \
    X(KEY_AS_NAME, 401, "unauthenticated", "535 5.7.8", "-ERR [AUTH]", NULL) /* right or not, in the wrong place */    \
    X(REVOKED, 401, "unauthenticated", "421 4.7.0", "-ERR [AUTH]", NULL)     /* it was good when the session began */  \
    X(SCOPE, 403, "insufficient_scope", "550 5.7.1", "-ERR", NULL)                                                     \
    X(SENDER, 403, "sender_not_allowed", "553 5.7.1", "-ERR", NULL)                                                    \
    X(UNVERIFIED, 403, "domain_not_verified", "550 5.7.1", "-ERR", NULL)                                               \
    X(SEALED, 403, "mail_sealed", "451 4.3.0", "-ERR", NULL)                                                           \
    X(RELAY, 403, "sender_not_allowed", "550 5.7.1", "-ERR", NULL)                                                     \
    X(FORGED, 403, "sender_not_allowed", "550 5.7.1", "-ERR", NULL)     /* DMARC; only over SMTP */                    \
    X(UNSURE, 503, "unavailable", "451 4.4.3", "-ERR [SYS/TEMP]", NULL) /* nobody answers for the sender's names */    \
    X(MISSING, 404, "not_found", "550 5.1.1", "-ERR", NULL)                                                            \
    X(METHOD, 405, "method_not_allowed", "502 5.5.1", "-ERR", NULL)                                                    \
    X(TIMEOUT, 408, "request_timeout", "421 4.4.2", "-ERR [SYS/TEMP]", NULL)                                           \
    X(CONFLICT, 409, "conflict", "451 4.3.0", "-ERR", NULL)                                                            \
    X(IN_USE, 409, "in_use", "450 4.2.1", "-ERR [IN-USE]", NULL)                                                       \
    X(NOT_CANCELLABLE, 409, "not_cancellable", "450 4.3.0", "-ERR", NULL)                                              \
    X(IN_FLIGHT, 409, "in_flight", "450 4.3.0", "-ERR", NULL)                                                          \
    X(IDEMPOTENCY_BUSY, 409, "idempotency_in_progress", "451 4.3.0", "-ERR", NULL)                                     \
    X(GONE, 410, "content_gone", "550 5.3.0", "-ERR [SYS/PERM]", NULL)                                                 \
    X(STATE_TOO_OLD, 410, "state_too_old", "550 5.3.0", "-ERR", NULL)                                                  \
    X(PRECONDITION, 412, "precondition_failed", "451 4.3.0", "-ERR", NULL)                                             \
    X(TOO_LARGE, 413, "too_large", "552 5.3.4", "-ERR", NULL)                                                          \
    X(MEDIA, 415, "unsupported_media_type", "554 5.6.1", "-ERR", NULL)                                                 \
    X(NO_PUBLIC_URL, 422, "no_public_url", "554 5.6.0", "-ERR", NULL)                                                  \
    X(IDEMPOTENCY_MISMATCH, 422, "idempotency_mismatch", "554 5.5.0", "-ERR", NULL)                                    \
    X(RATE, 429, "rate_limited", "450 4.7.1", "-ERR [SYS/TEMP]", NULL)                                                 \
    X(HEADERS_TOO_LARGE, 431, "headers_too_large", "552 5.3.4", "-ERR", NULL)                                          \
    X(UNSUPPORTED, 501, "not_implemented", "504 5.5.4", "-ERR", NULL)                                                  \
    X(HTTP_VERSION, 505, "version_not_supported", "500 5.5.1", "-ERR", NULL)                                           \
    X(INTERNAL, 500, "internal", "451 4.3.0", "-ERR [SYS/TEMP]", "Internal error; the request id finds it in the log") \
    X(BUSY, 503, "unavailable", "451 4.3.0", "-ERR [SYS/TEMP]", "Try again later")                                     \
    X(MEMORY, 503, "unavailable", "452 4.3.1", "-ERR [SYS/TEMP]", "Too much is held at once; try again later")         \
    X(UNSIGNED, 503, "unavailable", "451 4.7.5", "-ERR [SYS/TEMP]", NULL)                                              \
    X(QUEUE_FULL, 503, "queue_full", "451 4.3.2", "-ERR [SYS/TEMP]", "Too much is waiting; try again later")           \
    X(STORAGE_FULL, 507, "storage_full", "452 4.3.1", "-ERR [SYS/TEMP]", "The server's disk is full")                  \
    X(MAILBOX_FULL, 409, "conflict", "452 4.2.2", "-ERR", NULL)                                                        \
    X(LOOP, 422, "validation_error", "554 5.4.6", "-ERR", NULL)                                                        \
    X(CLOSED, 503, "unavailable", "421 4.3.2", "-ERR [SYS/TEMP]", NULL) /* the peer or we went away: no answer due */

enum err_code {
#define X(name, http, api, smtp, pop3, told) ERR_##name,
    ERR_LIST(X)
#undef X
        ERR_CODES
};

/* `where` is "store/mailbox.c:41". A fresh struct err is all zero. */
struct err {
    enum err_code code;
    const char *where;
    char message[256];
};

struct err_row {
    const char *name; /* "MISSING" */
    int http;
    const char *api, *smtp, *pop3, *told;
};

/* The row of a code, for the adapters. */
const struct err_row *err_row(enum err_code code);
/* What the client may read of it: `told` or the message. */
const char *err_told(const struct err *e);

/* Fills e and is false, so that `return err_set(...)` ends a function. The false stands where it is used: the compiler
 * and the analyzer of script/lint then know that what a failed call should have filled in is not read. */
#define err_set(e, code, ...)                                                                                          \
    __extension__({                                                                                                    \
        err_fill((e), (code), ERR_WHERE, __VA_ARGS__);                                                                 \
        false;                                                                                                         \
    })
#define ERR_WHERE        __FILE_NAME__ ":" ERR_LINE_(__LINE__)
#define ERR_LINE_(line)  ERR_LINE__(line)
#define ERR_LINE__(line) #line
#ifndef __FILE_NAME__
#define __FILE_NAME__ __FILE__
#endif
bool err_fill(struct err *e, enum err_code code, const char *where, const char *format, ...)
    __attribute__((format(printf, 4, 5), cold));

/* For what cannot be mended: prints to standard error and aborts. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2), cold));
#endif
