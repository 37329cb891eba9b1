/* service/message/returned_private.h - what one mail says that came back: read by returned_read.c, told by returned.c.
 */
#ifndef SERVICE_RETURNED_PRIVATE_H
#define SERVICE_RETURNED_PRIVATE_H
#include "service/message/returned.h"
#include "service/queue/suppression.h"

enum says { SAYS_BOUNCED, SAYS_DELAYED, SAYS_COMPLAINED };

/* One delivery, and what is said of it. */
struct told {
    const struct delivery_row *row; /* NULL: of the message, nobody knows which */
    enum says says;
    struct attempt attempt;
    const struct suppressing *suppresses; /* its recipient; NULL: nobody */
    int op, count_op;
    bool lost; /* it is so already */
};

struct returned {
    struct message_row message;
    bool message_gone;
    struct bytes more; /* members of the events' data */
    bool proven;       /* by a token */
    struct told *each;
    size_t n;
};
#endif
