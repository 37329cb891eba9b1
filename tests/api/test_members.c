/* The tables of members beside the contract: what openapi/postrider.yaml says that an object shows, and that a request
 * may give, is what the tables show and take. */
#include "api/route.h"
#include "service/core/member.h"
#include <json-c/linkhash.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct {
    const struct members *members;
    const char *shown, *made, *changed; /* schemas; NULL: there is no such request */
} rows[] = {
    { &account_members, "Account", "AccountCreate", "AccountUpdate" },
    { &account_created_members, "AccountCreated", NULL, NULL },
    { &account_kept_members, "AccountCreated", NULL, NULL },
    { &domain_members, "Domain", "DomainCreate", "DomainUpdate" },
    { &route_members, "Route", "RouteCreate", "RouteUpdate" },
    { &template_members, "Template", "TemplateCreate", "TemplateUpdate" },
    { &template_version_members, "TemplateVersion", NULL, NULL },
    { &template_version_full_members, "TemplateVersionFull", NULL, NULL },
    { &layout_members, "Layout", "LayoutCreate", "LayoutUpdate" },
    { &partial_members, "Partial", "PartialPut", NULL },
    { &rendering_members, "Rendering", NULL, NULL },
    { &stream_members, "Stream", "StreamCreate", "StreamUpdate" },
    { &user_members, "User", "UserCreate", "UserUpdate" },
    { &address_members, "Address", "AddressCreate", "AddressUpdate" },
    { &key_members, "Key", "KeyCreate", "KeyUpdate" },
    { &key_created_members, "KeyCreated", NULL, NULL },
    { &mailbox_members, "Mailbox", "MailboxCreate", "MailboxUpdate" },
    { &entry_members, "Entry", NULL, "EntryUpdate" },
    { &entry_full_members, "EntryFull", NULL, NULL },
    { &message_members, "Message", NULL, NULL },
    { &accepted_members, "MessageAccepted", NULL, NULL },
    { &preview_members, "Preview", NULL, NULL },
    { &batch_members, "Batch", NULL, NULL },
    { &batch_created_members, "BatchCreated", NULL, NULL },
    { &transcript_members, "Transcript", NULL, NULL },
    { &queue_site_members, "QueueSite", NULL, NULL },
    { &action_members, "Action", "ActionCreate", NULL },
    { &suspension_members, "Suspension", "SuspensionCreate", NULL },
    { &delivery_members, "Delivery", NULL, NULL },
    { &event_members, "Event", NULL, NULL },
    { &setting_members, "Setting", NULL, "SettingUpdate" },
    { &setting_change_members, "SettingChange", NULL, NULL },
    { &me_members, "Me", NULL, NULL },
    { &suppression_members, "Suppression", "SuppressionGiven", NULL },
    { &suppression_import_members, "SuppressionImport", NULL, NULL },
};

static struct json_object *document;

static struct json_object *schema(const char *name)
{
    struct json_object *all = json_member(json_member(document, "components"), "schemas");

    assert_non_null(json_member(all, name));
    return json_member(all, name);
}

static struct json_object *follow(struct json_object *s)
{
    struct bytes ref = json_text(s, "$ref");
    char name[64];

    if (!ref.p)
        return s;
    ref = bytes_from(ref, bytes_find_last(ref, '/') + 1);
    snprintf(name, sizeof name, "%.*s", SHOW(ref));
    return schema(name);
}

/* ---- types ---- */

static const char *type_of(enum member_type type)
{
    switch (type) {
    case MEMBER_ID:
    case MEMBER_TEXT:
    case MEMBER_TIME: return "string";
    case MEMBER_INT: return "integer";
    case MEMBER_BOOL:
    case MEMBER_BIT: return "boolean";
    case MEMBER_JSON:
    case MEMBER_OWN: break;
    }
    return NULL;
}

static bool says(struct json_object *property, const char *type)
{
    struct json_object *types = json_member(property, "type");

    if (!json_object_is_type(types, json_type_array))
        return types && strcmp(json_object_get_string(types), type) == 0;
    for (size_t i = 0; i < json_object_array_length(types); i++)
        if (strcmp(json_object_get_string(json_object_array_get_idx(types, i)), type) == 0)
            return true;
    return false;
}

static void type_fits(const struct member *x, const char *where, struct json_object *property)
{
    const char *type = type_of(x->type);
    bool is_time = bytes_equal(json_text(property, "format"), BYTES("date-time"));

    if (type && !says(property, type))
        fail_msg("%s.%s is no %s", where, x->name, type);
    if (is_time != (x->type == MEMBER_TIME))
        fail_msg("%s.%s: a time in one place only", where, x->name);
}

/* ---- answers ---- */

static size_t shows(const struct members *m, const char *where, struct json_object *properties)
{
    size_t n = m->base ? shows(m->base, where, properties) : 1; /* "object" */

    for (size_t i = 0; i < m->n; i++) {
        struct json_object *property = json_member(properties, m->all[i].name);

        if (m->all[i].hidden)
            continue;
        if (!property)
            fail_msg("%s does not show %s", where, m->all[i].name);
        type_fits(&m->all[i], where, follow(property));
        n++;
    }
    return n;
}

static void answers_are_as_the_contract_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct json_object *properties = json_member(schema(rows[i].shown), "properties");
        struct json_object *object = json_member(properties, "object");

        if (!bytes_equal(json_text(object, "const"), bytes_of(rows[i].members->object)))
            fail_msg("%s is no %s", rows[i].shown, rows[i].members->object);
        assert_int_equal(shows(rows[i].members, rows[i].shown, properties),
                         (size_t)json_object_object_length(properties));
    }
}

/* ---- requests ---- */

static void takes(const struct members *m, unsigned given, const char *where)
{
    struct json_object *properties = where ? json_member(schema(where), "properties") : NULL;
    int n = 0;

    for (size_t i = 0; i < m->n; i++) {
        struct json_object *property = json_member(properties, m->all[i].name);

        if (!(m->all[i].given & given))
            continue;
        if (!property)
            fail_msg("%s: the contract does not take %s", where ? where : m->object, m->all[i].name);
        type_fits(&m->all[i], where, follow(property));
        n++;
    }
    assert_int_equal(n, properties ? json_object_object_length(properties) : 0);
}

static void requests_are_as_the_contract_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        takes(rows[i].members, MADE, rows[i].made);
        takes(rows[i].members, CHANGED, rows[i].changed);
    }
}

/* What a request may give and no rule writes is a field of the kind, of the type that the member has. */
static void plain_members_are_fields(void **state)
{
    static const enum field_type types[] = {
        [MEMBER_ID] = FIELD_ID,     [MEMBER_TEXT] = FIELD_TEXT, [MEMBER_INT] = FIELD_INT,
        [MEMBER_BOOL] = FIELD_BOOL, [MEMBER_TIME] = FIELD_TIME, [MEMBER_JSON] = FIELD_JSON
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t j = 0; j < rows[i].members->n; j++) {
            const struct member *x = &rows[i].members->all[j];
            const struct field *f = rows[i].members->kind ? kind_field(rows[i].members->kind, x->name) : NULL;

            assert_true(rows[i].members->n <= MEMBERS_MAX);
            if (!f || !x->given || x->type == MEMBER_OWN || x->type == MEMBER_BIT)
                continue;
            if (f->type != types[x->type] || f->offset != x->offset)
                fail_msg("%s.%s is another field", rows[i].members->object, x->name);
        }
}

static int setup(void **state)
{
    struct err e = { 0 };

    (void)state;
    return json_read((struct bytes){ (const char *)openapi_json, openapi_json_size }, &document, &e) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    json_object_put(document);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_as_the_contract_says),
        cmocka_unit_test(requests_are_as_the_contract_says),
        cmocka_unit_test(plain_members_are_fields),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
