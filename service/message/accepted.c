/* service/core/accepted.c - what a message is answered with when it has been taken. */
#include "service/core/member.h"
#include "service/message/intake.h"

static void show_recipients(struct jw *w, const void *row)
{
    const struct intake_out *m = row;

    jw_array(w);
    for (size_t i = 0; i < m->n_recipients; i++) {
        jw_object(w);
        jw_key_id(w, "id", delivery_kind.prefix, m->recipients[i].delivery_id);
        jw_key_text(w, "email", m->recipients[i].email);
        jw_key_text(w, "status", m->recipients[i].status);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static const struct member accepted_list_[] = {
    { .name = "id", .type = MEMBER_ID, .offset = offsetof(struct intake_out, message_id), .prefix = "msg" },
    MEMBER(ID, intake_out, account_id, .prefix = "acc"),
    MEMBER(TEXT, intake_out, header_message_id),
    MEMBER(TEXT, intake_out, mode),
    MEMBER(TEXT, intake_out, status),
    MEMBER(TIME, intake_out, created_at),
    { .name = "recipients", .type = MEMBER_OWN, .show = show_recipients },
};
MEMBERS(accepted, .object = "message", .path = "/v1/messages/");
