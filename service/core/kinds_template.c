/* service/core/kinds_template.c - the schema of templates of mails: drafts, their published versions, layouts and
 * partials. All but the lists of versions are small in number; what they say may be large. */
#include "service/core/kinds_table.h"

static const struct field template_fields[] = {
    FIELD(ID, template_row, id),
    FIELD(ID, template_row, account_id),
    FIELD(TEXT, template_row, alias),
    FIELD(TEXT, template_row, name),
    FIELD(TEXT, template_row, dialect),
    FIELD(ID, template_row, layout_id),
    FIELD(TEXT, template_row, subject),
    FIELD(TEXT, template_row, html),
    FIELD(TEXT, template_row, text),
    FIELD(TEXT, template_row, amp_html),
    FIELD(JSON, template_row, sender),
    FIELD(JSON, template_row, reply_to),
    FIELD(JSON, template_row, headers),
    FIELD(JSON, template_row, variables),
    FIELD(JSON, template_row, sample),
    FIELD(INT, template_row, version),
    FIELD(INT, template_row, draft_version),
    FIELD(INT, template_row, published_version),
    FIELD(TIME, template_row, created_at),
    FIELD(TIME, template_row, updated_at),
    FIELD(TIME, template_row, published_at),
};
static const struct index template_indexes[] = {
    { .name = "account", .fields = { "account_id" } },
    { .name = "alias", .unique = true, .fields = { "account_id", "alias" } },
    { .name = "layout", .fields = { "layout_id" } },
};
KIND(template, "tpl", INDEXES(template), .large = true);

static const struct field template_version_fields[] = {
    FIELD(ID, template_version_row, id),
    FIELD(ID, template_version_row, account_id),
    FIELD(ID, template_version_row, template_id),
    FIELD(INT, template_version_row, number),
    FIELD(TEXT, template_version_row, name),
    FIELD(TEXT, template_version_row, dialect),
    FIELD(ID, template_version_row, layout_id),
    FIELD(TEXT, template_version_row, subject),
    FIELD(TEXT, template_version_row, html),
    FIELD(TEXT, template_version_row, text),
    FIELD(TEXT, template_version_row, amp_html),
    FIELD(JSON, template_version_row, sender),
    FIELD(JSON, template_version_row, reply_to),
    FIELD(JSON, template_version_row, headers),
    FIELD(JSON, template_version_row, variables),
    FIELD(JSON, template_version_row, sample),
    FIELD(TEXT, template_version_row, layout_html),
    FIELD(TEXT, template_version_row, layout_text),
    FIELD(JSON, template_version_row, partials),
    FIELD(TIME, template_version_row, published_at),
};
static const struct index template_version_indexes[] = {
    { .name = "number", .unique = true, .fields = { "template_id", "number" } },
    { .name = "template", .fields = { "template_id" } },
    { .name = "account", .fields = { "account_id" } },
};
KIND(template_version, "tpv", INDEXES(template_version), .large = true);

static const struct field layout_fields[] = {
    FIELD(ID, layout_row, id),           FIELD(ID, layout_row, account_id),   FIELD(TEXT, layout_row, name),
    FIELD(TEXT, layout_row, html),       FIELD(TEXT, layout_row, text),       FIELD(INT, layout_row, version),
    FIELD(TIME, layout_row, created_at), FIELD(TIME, layout_row, updated_at),
};
static const struct index layout_indexes[] = {
    { .name = "account", .fields = { "account_id" } },
};
KIND(layout, "lay", INDEXES(layout), .large = true);

static const struct field partial_fields[] = {
    FIELD(ID, partial_row, id),           FIELD(ID, partial_row, account_id),   FIELD(TEXT, partial_row, name),
    FIELD(TEXT, partial_row, html),       FIELD(TEXT, partial_row, text),       FIELD(INT, partial_row, version),
    FIELD(TIME, partial_row, created_at), FIELD(TIME, partial_row, updated_at),
};
static const struct index partial_indexes[] = {
    { .name = "account", .fields = { "account_id" } },
    { .name = "name", .unique = true, .fields = { "account_id", "name" } },
};
KIND(partial, "prt", INDEXES(partial), .large = true);
