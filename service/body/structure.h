/* service/body/structure.h - which parts a mail has, under the limits of message.*.
 *
 *     struct mime *m = structure_begin(arena);
 *     structure_feed(m, piece)                as often as bytes arrive
 *     index = mime_end(m)
 *
 * A stranger's mail may make every part costly: other fibers get turns meanwhile (fiber_turn). */
#ifndef SERVICE_STRUCTURE_H
#define SERVICE_STRUCTURE_H
#include "mail/mime.h"
#include "service/body/body.h"

/* What message.* and html.* say now; without inner_files, which structure_begin and structure_read look for. */
struct mail_limits mail_limits_now(void);
struct mime_limits structure_limits(void);
struct mime *structure_begin(struct arena *a);
void structure_feed(struct mime *m, struct bytes piece);
/* Of a stored mail, which is read whole and rewound. */
bool structure_read(struct body_reader *r, struct arena *a, const struct mime_index **out, struct err *e);
#endif
