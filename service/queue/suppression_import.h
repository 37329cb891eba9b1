/* service/queue/suppression_import.h - a CSV of suppressions, taken at once and added in the background.
 *
 * While the file comes it is read over (a line of names with an `email`, or lines that are addresses; no more rows than
 * suppression.import_rows) and kept as a body. Then the import is a row that is claimed under a lease by whichever node
 * has time for it, and goes on slice by slice: a batch adds some hundred rows and says behind which byte of the file
 * the next slice begins. Whatever dies in between adds each row exactly once. When it is done the file goes, and what
 * came of it can be asked for suppression.import_keep.
 *
 * read = added + unchanged + those with a fault; of these the first hundred are told. A row that is there already gains
 * a stronger reason or a later end, and counts as added then. Rows that say no reason are of the reason `import`. */
#ifndef SERVICE_SUPPRESSION_IMPORT_H
#define SERVICE_SUPPRESSION_IMPORT_H
#include "service/core/call.h"

struct suppression_import_in {
    struct source csv;
};
/* ERR_INVALID without a column of addresses or with too many rows; ERR_RATE: suppression.import_open are open. */
bool suppression_import(struct call *c, const struct suppression_import_in *in, struct suppression_import_row *out);
struct suppression_import_get_in {
    struct bytes id;
};
bool suppression_import_get(struct call *c, const struct suppression_import_get_in *in,
                            struct suppression_import_row *out);

/* One turn: claims what is due and adds some slices of it. *any: there was something. */
bool suppression_import_round(struct service *svc, bool *any, struct err *e);
/* For service/queue/due.c, which begins, starts and ends the background work. */
bool suppression_import_begin(struct service *svc, struct err *e);
bool suppression_import_start(struct service *svc, struct err *e);
void suppression_import_poke(struct service *svc);
#endif
