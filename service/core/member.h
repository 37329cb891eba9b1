/* service/core/member.h - the members of a resource, written down once.
 *
 * One table a resource says what each member is called, what it is, where it lies, who may give it and by which rule.
 * It drives the reading of a request and the writing of an answer (api/members.c), a PATCH (members_patch) and the
 * columns of `postrider` (cli/). openapi/postrider.yaml stays the contract: tests/api/test_members.c compares the two.
 * A plain member is a line there, a field in kinds, and a line here:
 *
 *     MEMBER(TEXT, user_row, note, .given = MADE | CHANGED, .most = 200),
 *
 * Offsets are of the resource's row, or of a view that begins with the row. What a request gives is a struct of the
 * same beginning (`struct user_change` begins with a user_row) and a set of the members that it named, one bit for
 * each line of the table; a member given as null is named too, and empty. Tables are constant; any thread. */
#ifndef SERVICE_MEMBER_H
#define SERVICE_MEMBER_H
#include "service/core/call.h"

enum member_type {
    MEMBER_ID,   /* struct id, shown with `prefix` */
    MEMBER_TEXT, /* struct bytes */
    MEMBER_INT,
    MEMBER_BOOL,
    MEMBER_TIME,
    MEMBER_JSON, /* struct bytes: JSON text, shown and given as it is; null is shown as `otherwise` */
    MEMBER_BIT,  /* a boolean: `bit` of an INT */
    MEMBER_OWN   /* written by `show`, read by `read` */
};

/* Who may give it. */
enum { MADE = 1 /* with POST */, CHANGED = 2 /* with PATCH */ };

struct member {
    const char *name;
    enum member_type type;
    size_t offset;
    unsigned given;
    bool hidden; /* never shown */
    bool column; /* a column of the command line's lists */
    /* The new value depends on the old one: it is written only while the old one is still there, or tried again. */
    bool merged;
    const char *prefix, *otherwise;
    int64_t bit;
    const char *field; /* what a change writes, where it is not the field of the member's name */
    /* The plain rule: most bytes of a TEXT, in one line (0: any); an INT is never negative. */
    size_t most;
    /* Instead of it: notes faults, and puts the value into the row in the form that is kept. False for an error of the
     * store only. */
    bool (*rule)(struct call *c, const void *given, void *row);
    void (*show)(struct jw *w, const void *row);
    void (*read)(struct json_object *value, struct arena *a, void *given); /* value: never null */
};

/* MEMBER(TEXT, user_row, name, and what else there is to say) */
#define MEMBER(type_, struct_, ...) MEMBER_LINE(type_, struct_, __VA_ARGS__, )
#define MEMBER_LINE(type_, struct_, name_, ...)                                                                        \
    {                                                                                                                  \
        .name = #name_, .type = MEMBER_##type_, .offset = offsetof(struct struct_, name_), __VA_ARGS__                 \
    }

#define MEMBERS_MAX 40
struct members {
    const char *object;         /* "user": `object` of the answer */
    const char *path;           /* of one, its id behind it: "/v1/users/"; NULL: it has none */
    const struct kind *kind;    /* of the row; NULL: it is none */
    const struct members *base; /* its members come first (what is shown only; it gives no more) */
    const struct member *all;
    size_t n;
};

#define MEMBERS(name_, ...)                                                                                            \
    const struct members name_##_members = { .all = name_##_list_,                                                     \
                                             .n = sizeof name_##_list_ / sizeof *name_##_list_,                        \
                                             __VA_ARGS__ }

/* The answer's object: "object" and every member of the table. */
void members_write(struct jw *w, const struct members *m, const void *row);
/* What a request's object names of them, into `given`; the bits of what it names. The schema has checked the types. */
uint64_t members_read(const struct members *m, struct json_object *object, struct arena *a, void *given);
/* A JSON list of texts, as it was given, in the arena; NO_BYTES: none. */
bool members_texts(struct call *c, struct bytes json, struct bytes **texts, size_t *n);
/* The other way round; NO_BYTES for none. */
struct bytes members_texts_json(struct arena *a, const struct bytes *texts, size_t n);

/* The bits of the members of these names, "name,quota"; a name that is none is a bug and ends the program. */
uint64_t members_named(const struct members *m, const char *names);

/* Takes what `given` names into the row by the rules, noting every fault. False for an error of the store only. */
bool members_apply(struct call *c, const struct members *m, const void *given, uint64_t named, void *row);

/* A PATCH. What was not named is not written, so that of two changes at once both stand. */
struct patch {
    const struct members *members;
    const void *given;
    uint64_t named;
    struct bytes id;
    bool (*find)(struct call *c, struct bytes id, void *row); /* the row, if it may be changed */
    /* NULL, or what is still to do once there is no fault (hashing a password). */
    bool (*finish)(struct call *c, const void *given, uint64_t named, void *row);
    const char *const *same; /* NULL, or fields that `find` judged by: written while they are as they were read */
    void (*also)(struct call *c, struct batch *b); /* NULL, or adds to the batch */
};
/* *row is the row as it was found with what was written. Nothing named: it is found, and nothing written. ERR_CONFLICT
 * when others change the same all the time. */
bool members_patch(struct call *c, const struct patch *p, void *row);

extern const struct members account_members, account_created_members, account_kept_members, domain_members,
    user_members, address_members, key_members, key_created_members, mailbox_members, entry_members, entry_full_members,
    message_members, accepted_members, preview_members, batch_members, batch_created_members, delivery_members,
    event_members, setting_members, setting_change_members, me_members, suppression_members, suppression_import_members,
    queue_site_members, transcript_members, suspension_members, action_members, route_members, template_members,
    template_version_members, template_version_full_members, layout_members, partial_members, rendering_members,
    stream_members;
#endif
