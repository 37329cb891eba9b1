/* service/core/kinds_table.h - inside service/core/: how the tables of kinds are written (kinds.c, kinds_mail.c,
 * kinds_queue.c). */
#ifndef SERVICE_KINDS_TABLE_H
#define SERVICE_KINDS_TABLE_H
#include "service/core/kinds.h"

#define COUNT(x) (sizeof(x) / sizeof *(x))

#define KIND(name_, prefix_, ...)                                                                                      \
    const struct kind name_##_kind = { .name = #name_,                                                                 \
                                       .prefix = prefix_,                                                              \
                                       .size = sizeof(struct name_##_row),                                             \
                                       .fields = name_##_fields,                                                       \
                                       .n_fields = COUNT(name_##_fields),                                              \
                                       __VA_ARGS__ }
#define INDEXES(name_) .indexes = name_##_indexes, .n_indexes = COUNT(name_##_indexes)
#endif
