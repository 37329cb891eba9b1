/* service/message/preview.h - what would become of a send, without sending it: composed and judged by the rules of
 * acceptance, by the same code, up to the batch that would accept it, which is not made. Nothing is counted, and
 * nothing kept but its HTML, sealed, for preview.view_keep: whoever has the link (its id is random) can look at it.
 * What acceptance would refuse is no error here: it is told in `errors`. */
#ifndef SERVICE_PREVIEW_H
#define SERVICE_PREVIEW_H
#include "service/message/message.h"

struct preview_recipient {
    struct bytes email, kind; /* local|remote */
    struct bytes suppressed;  /* the reason; NO_BYTES: it is not */
    struct bytes route;       /* mx|relay|capture|hold, local; NO_BYTES: it is not known */
    struct id route_id;       /* of a route of the account's own */
    struct bytes status;      /* that its delivery would have; NO_BYTES: it was not judged, see errors */
    int code;                 /* 0: nothing would have been tried by then */
    struct bytes enhanced, text, cause;
};

struct preview_warning {
    const char *code;
    struct bytes message;
};

#define PREVIEW_WARNINGS 16
struct preview_out {
    const struct fault *errors;
    size_t n_errors;
    bool rendered; /* the rest of the message is there */
    struct bytes subject, html, text, amp_html;
    struct named_value *headers; /* as they would leave, but for trace lines; decoded */
    size_t n_headers;
    int64_t size;
    struct preview_recipient *recipients;
    size_t n_recipients;
    struct preview_warning warnings[PREVIEW_WARNINGS];
    size_t n_warnings;
    struct bytes view_url;
};
/* Faults that the call has already are among the errors. */
bool preview_create(struct call *c, const struct message_send_in *in, struct preview_out *out);

struct rendering;
struct preview_view_in {
    struct bytes id;
};
struct preview_view_out {
    struct bytes html;
};
/* Of anybody. ERR_MISSING: there is no such view, or no more. */
bool preview_view(struct call *c, const struct preview_view_in *in, struct preview_view_out *out);
/* Adds one of out->html to the batch, and says where it is; none where there is no HTML, or too much. */
bool preview_keep(struct call *c, struct batch *b, struct preview_out *out);

/* inside: what was noticed while its template was rendered (NULL: it has none). */
void preview_warn_rendering(const struct rendering *r, struct preview_out *out);
/* inside: what is no fault, and should be looked at (preview_warnings.c). */
bool preview_warn(struct call *c, const struct message_send_in *in, struct preview_out *out);
#endif
