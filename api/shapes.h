/* api/shapes.h - inside api/: how each object is shown. */
#ifndef API_SHAPES_H
#define API_SHAPES_H
#include "api/request.h"

extern const struct shape account_shape, account_created_shape, account_kept_shape, domain_shape, user_shape,
    address_shape, key_shape, key_created_shape, key_kept_shape, mailbox_shape, entry_shape, message_shape,
    accepted_shape, delivery_shape, event_shape, setting_shape, setting_change_shape;

/* The members of every object: object, id, account_id. */
void object_begin(struct jw *w, const char *object, const char *prefix, struct id id, struct id account_id);
/* JSON that is kept, or `otherwise` ("[]") when there is none. */
void json_or(struct jw *w, const char *name, struct bytes json, const char *otherwise);
void mailbox_write(struct jw *w, const void *row, struct call *c);
void scopes_write(struct jw *w, unsigned scopes);
#endif
