/* service/queue/suppression_import_private.h - what the files of the import share. */
#ifndef SERVICE_SUPPRESSION_IMPORT_PRIVATE_H
#define SERVICE_SUPPRESSION_IMPORT_PRIVATE_H
#include "base/csv.h"
#include "service/body/body.h"
#include "service/core/state.h"
#include "service/identity/auth.h"
#include "service/queue/queue_private.h"
#include "service/queue/suppression.h"
#include "service/queue/suppression_import.h"

#define IMPORT_RECORD_MAX ((size_t)16 * 1024)
#define IMPORT_ARENA      ((size_t)64 * 1024 * 1024)

/* Which cell of a record is what: kept with the import as it lies in memory, bytes alone. */
enum import_column {
    IMPORT_EMAIL,
    IMPORT_REASON,
    IMPORT_STREAM,
    IMPORT_TOPIC,
    IMPORT_TEXT,
    IMPORT_EXPIRES,
    IMPORT_COLUMNS
};
#define IMPORT_ABSENT 0xFF
struct import_columns {
    uint8_t at[IMPORT_COLUMNS];
    uint8_t titled; /* the first row is one of names */
};

/* Adds slices of a claimed import, until it is done, others may have a turn, or the service stops. Not all was: the
 * store is away, and its lease ends by itself. */
bool import_go_on(struct service *svc, const struct suppression_import_row *claimed, struct err *e);
#endif
