/* service/box/user_whole.h - users made and ended with all that is theirs: addresses, mailboxes, mail. */
#ifndef SERVICE_USER_WHOLE_H
#define SERVICE_USER_WHOLE_H
#include "service/identity/user.h"

struct user_create_in {
    struct user_change change;
};
bool user_create(struct call *c, const struct user_create_in *in, struct user_row *out); /* with its six mailboxes */
struct user_delete_in {
    struct bytes id;
    bool erase;
}; /* ERR_IN_USE with mail unless erase */
bool user_delete(struct call *c, const struct user_delete_in *in, void *out);
/* Deletes all mail of a user, in slices. */
bool user_erase_mail(struct call *c, struct id user_id);
#endif
