/* mail/bounce_notice.c - what Amazon SES tells by mail, through SNS: one JSON object, for programs. Senders that relay
 * through SES get these and no other reports. */
#include "base/json.h"
#include "mail/bounce_read.h"
#include <string.h>

enum { VALUES_MAX = 5000 };

/* The object alone, with the breaks taken out that sendmail makes in lines over 990. */
static struct bytes object_of(struct bounce_reader *b)
{
    struct bytes text = bytes_trim(b->words), done;
    const char *end = text.n ? memmem(text.p, text.n, "\n--", 3) : NULL;
    struct buf out;

    if (end)
        text.n = (size_t)(end - text.p);
    buf_init(&out, text.n);
    for (size_t i = 0; i < text.n; i++)
        if (bytes_starts(bytes_from(text, i), BYTES("!\n ")))
            i += 2;
        else
            buf_addc(&out, text.p[i]);
    done = arena_copy(b->a, bytes_trim(buf_bytes(&out)));
    buf_clear(&out);
    return done;
}

/* A recipient is an object, or in a Delivery the address alone. */
static void add_recipient(struct bounce_reader *b, struct json_object *o, enum dsn_action action)
{
    bool text = json_object_is_type(o, json_type_string);
    struct bytes address = text ? bytes_of(json_object_get_string(o)) : json_text(o, "emailAddress");
    struct bounce_recipient *t = address.n ? bounce_recipient(b) : NULL;

    if (!t)
        return;
    t->final = arena_copy(b->a, bounce_address(address));
    t->action = action;
    if (text)
        return;
    t->status = arena_copy(b->a, json_text(o, "status"));
    t->reply = arena_copy(b->a, json_text(o, "diagnosticCode"));
    if (action == DSN_FAILED)
        bounce_judge(b, t, NO_BYTES);
}

static void add_recipients(struct bounce_reader *b, struct json_object *list, enum dsn_action action)
{
    if (json_object_is_type(list, json_type_array))
        for (size_t i = 0; i < json_object_array_length(list); i++)
            add_recipient(b, json_object_array_get_idx(list, i), action);
}

static void read_notice(struct bounce_reader *b, struct json_object *o)
{
    struct bytes type = json_text(o, "notificationType");
    struct json_object *bounced = json_member(o, "bounce"), *complaint = json_member(o, "complaint"),
                       *delivery = json_member(o, "delivery"), *mail = json_member(o, "mail");

    b->out->original_mail_from = arena_copy(b->a, bounce_address(json_text(mail, "source")));
    if (bytes_equal(type, BYTES("Bounce"))) {
        add_recipients(b, json_member(bounced, "bouncedRecipients"), DSN_FAILED);
    } else if (bytes_equal(type, BYTES("Delivery"))) {
        add_recipients(b, json_member(delivery, "recipients"), DSN_DELIVERED);
    } else if (bytes_equal(type, BYTES("Complaint"))) {
        b->out->feedback_type = arena_lower(b->a, json_text(complaint, "complaintFeedbackType"));
        add_recipients(b, json_member(complaint, "complainedRecipients"), DSN_DELIVERED);
    }
    b->out->kind = bytes_equal(type, BYTES("Complaint")) ? BOUNCE_COMPLAINT : b->out->n ? BOUNCE_REPORT : BOUNCE_NONE;
}

bool bounce_notice(struct bounce_reader *b)
{
    struct json_object *o = NULL;
    struct err e = { 0 };

    if (!bytes_starts(bytes_trim(b->words), BYTES("{\"notificationType\"")) ||
        !json_read_most(object_of(b), VALUES_MAX, &o, &e))
        return false;
    read_notice(b, o);
    json_object_put(o);
    return b->out->kind != BOUNCE_NONE;
}
