/* cli/verbs.c - the subcommands that are one API call each, as rows. A path's {1}, {2} are the words behind the verb.
 *
 * What a row cannot say (a file, a confirmation) is a kind of flag in resource.c, so that a new operation of the API
 * needs a row and no code. */
#include "cli/verbs.h"
#include "service/core/member.h"

#define LISTING                                                                                                        \
    { "limit", FLAG_NUMBER, "limit", true, "how many (1-100)" },                                                       \
        { "after", FLAG_TEXT, "after", true, "older than this cursor" },                                               \
    {                                                                                                                  \
        "before", FLAG_TEXT, "before", true, "newer than this cursor"                                                  \
    }
#define END                                                                                                            \
    {                                                                                                                  \
        NULL, FLAG_TEXT, NULL, false, NULL                                                                             \
    }

static const struct flag none[] = { END };
static const struct flag listing[] = { LISTING, END };

static const struct flag domain_add[] = {
    { "inbound", FLAG_TEXT, "inbound", false, "mailboxes (standard) or off" },
    { "catch-all", FLAG_TEXT, "catch_all", false, "address that gets what nobody else gets" },
    END,
};
static const struct flag domain_verify[] = { { "force", FLAG_SWITCH, "force", false, "mark as verified (operators)" },
                                             END };
static const struct flag entry_view[] = {
    { "images", FLAG_TEXT, "images", true, "block (standard), or load: those of other servers stay" },
    END,
};
static const struct flag domain_records[] = {
    { "zone", FLAG_SWITCH, NULL, false, "as lines of a zone file" },
    END,
};
static const struct flag domain_key[] = {
    { "key-file", FLAG_WHOLE, "private_key", false, "file with the private key (PEM), - for standard input" },
    END,
};
#define ROUTE_FLAGS                                                                                                    \
    { "position", FLAG_NUMBER, "position", false, "the first that matches counts" },                                   \
        { "domain", FLAG_TEXT, "domain", false, "of the recipient: a domain, *.domain or *" },                         \
        { "sender-domain", FLAG_TEXT, "sender_domain", false, "of the author" },                                       \
        { "tag", FLAG_TEXT, "tag", false, "name or name=value" },                                                      \
        { "class", FLAG_TEXT, "class", false, "high, normal or bulk" },                                                \
        { "source", FLAG_TEXT, "source", false, "api, submission, smtp or system (operators)" },                       \
        { "host", FLAG_TEXTS, "hosts", false, "of a relay; may be repeated" },                                         \
        { "port", FLAG_NUMBER, "port", false, "of a relay" },                                                          \
        { "lookup", FLAG_TEXT, "lookup", false, "address (standard) or mx of the hosts" },                             \
        { "tls", FLAG_TEXT, "tls", false, "may (standard), none, require or verify" },                                 \
        { "username", FLAG_TEXT, "username", false, "login at the relay" },                                            \
        { "password-file", FLAG_FILE, "password", false, "file with its password, - for standard input" },             \
        { "private", FLAG_SWITCH, "private", false, "hosts may lie in denied networks (operators)" },                  \
    {                                                                                                                  \
        "insecure-auth", FLAG_SWITCH, "insecure_auth", false, "log in without verified TLS (operators)"                \
    }
static const struct flag route_explain[] = { { "from", FLAG_TEXT, "from", true, "the author" },
                                             { "tag", FLAG_TEXT, "tag", true, "name=value" },
                                             END };
static const struct flag route_add[] = { ROUTE_FLAGS, END };
static const struct flag route_set[] = { ROUTE_FLAGS,
                                         { "type", FLAG_TEXT, "type", false, "mx, relay, capture or hold" },
                                         END };
#define TEMPLATE_FLAGS                                                                                                 \
    { "name", FLAG_TEXT, "name", false, "for people" },                                                                \
        { "dialect", FLAG_TEXT, "dialect", false, "handlebars (standard), mustache, mustachio, sendgrid or resend" },  \
        { "layout", FLAG_TEXT, "layout_id", false, "LAYOUT-ID, or null" },                                             \
        { "subject", FLAG_TEXT, "subject", false, "" },                                                                \
        { "html-file", FLAG_WHOLE, "html", false, "file with the html, - for standard input" },                        \
        { "text-file", FLAG_WHOLE, "text", false, "file with the plain text" },                                        \
        { "amp-html-file", FLAG_WHOLE, "amp_html", false, "file with AMP for Email" },                                 \
        { "from", FLAG_TEXT, "from", false, "sender: a@b or \"Name <a@b>\"" },                                         \
        { "variables-file", FLAG_JSON, "variables", false, "file with what may be given, as JSON" },                   \
    {                                                                                                                  \
        "sample-file", FLAG_JSON, "sample", false, "file with values to look at it with, as JSON"                      \
    }
static const struct flag template_add[] = { TEMPLATE_FLAGS, END };
static const struct flag template_set[] = { TEMPLATE_FLAGS,
                                            { "alias", FLAG_TEXT, "alias", false, "another alias, or null" },
                                            END };
static const struct flag template_show[] = {
    { "version", FLAG_TEXT, "version", true, "a number, published or draft (standard)" },
    END,
};
static const struct flag template_copy[] = {
    { "alias", FLAG_TEXT, "alias", false, "of the new one" },
    { "name", FLAG_TEXT, "name", false, "of the new one" },
    END,
};
static const struct flag template_render[] = {
    { "var", FLAG_NAMED, "variables", false, "name=value, may be repeated" },
    { "variables-file", FLAG_JSON, "variables", false, "file with all values, as JSON" },
    { "version", FLAG_TEXT, "version", false, "published or draft (standard)" },
    END,
};
static const struct flag template_test[] = {
    { "from", FLAG_TEXT, "from", false, "sender; standard: the template's" },
    { "var", FLAG_NAMED, "variables", false, "name=value, may be repeated" },
    { "variables-file", FLAG_JSON, "variables", false, "file with all values, as JSON" },
    END,
};
static const struct flag layout_set[] = {
    { "name", FLAG_TEXT, "name", false, "for people" },
    { "html-file", FLAG_WHOLE, "html", false, "file with the html, {{{content}}} in it" },
    { "text-file", FLAG_WHOLE, "text", false, "file with the plain text, {{{content}}} in it" },
    END,
};
static const struct flag partial_put[] = {
    { "html-file", FLAG_WHOLE, "html", false, "file with the html, - for standard input" },
    { "text-file", FLAG_WHOLE, "text", false, "file with the plain text" },
    END,
};
static const struct flag user_list[] = { LISTING, { "domain", FLAG_TEXT, "domain", true, "of this domain" }, END };
#define USER_FLAGS                                                                                                     \
    { "name", FLAG_TEXT, "name", false, "full name" },                                                                 \
        { "password-file", FLAG_FILE, "password", false, "file with the password, - for standard input" },             \
        { "quota", FLAG_NUMBER, "quota", false, "bytes" },                                                             \
    {                                                                                                                  \
        "send-as", FLAG_TEXTS, "send_as", false, "a@b or @b, may be repeated"                                          \
    }
static const struct flag user_add[] = { USER_FLAGS, END };
static const struct flag user_delete[] = { { "erase", FLAG_SWITCH, "erase", true, "with all mail" }, END };
static const struct flag key_add[] = {
    { "name", FLAG_TEXT, "name", false, "what it is for" },
    { "scope", FLAG_TEXTS, "scopes", false, "send, messages:read …; may be repeated" },
    { "mode", FLAG_TEXT, "mode", false, "live (standard) or test" },
    { "domain", FLAG_TEXTS, "domain_ids", false, "only for this domain; may be repeated" },
    { "allow-ip", FLAG_TEXTS, "allowed_ips", false, "only from this address or network; may be repeated" },
    { "expires-at", FLAG_TEXT, "expires_at", false, "RFC 3339 time" },
    END,
};
static const struct flag key_set[] = {
    { "name", FLAG_TEXT, "name", false, "what it is for" },
    { "scope", FLAG_TEXTS, "scopes", false, "send, messages:read …; may be repeated" },
    { "domain", FLAG_TEXTS, "domain_ids", false, "only for this domain; may be repeated" },
    { "allow-ip", FLAG_TEXTS, "allowed_ips", false, "only from this address or network; may be repeated" },
    { "expires-at", FLAG_TEXT, "expires_at", false, "RFC 3339 time, or null" },
    END,
};
static const struct flag message_list[] = {
    LISTING,
    { "email", FLAG_TEXT, "email", true, "recipient" },
    { "status", FLAG_TEXT, "status", true, "queued, delivered, failed …" },
    { "direction", FLAG_TEXT, "direction", true, "outbound or inbound" },
    { "source", FLAG_TEXT, "source", true, "api, submission, smtp, system" },
    { "tag", FLAG_TEXT, "tag", true, "name or name=value" },
    { "since", FLAG_TEXT, "since", true, "RFC 3339 time" },
    { "until", FLAG_TEXT, "until", true, "RFC 3339 time" },
    END,
};
static const struct flag message_move[] = {
    { "at", FLAG_TEXT, "scheduled_at", false, "when it begins: RFC 3339 time, or null for now" },
    END,
};
static const struct flag suppression_list[] = {
    LISTING,
    { "email", FLAG_TEXT, "email", true, "of this address" },
    { "reason", FLAG_TEXT, "reason", true, "bounce, complaint, unsubscribe, manual or import" },
    { "since", FLAG_TEXT, "since", true, "RFC 3339 time" },
    END,
};
static const struct flag suppression_export[] = {
    { "email", FLAG_TEXT, "email", true, "of this address" },
    { "reason", FLAG_TEXT, "reason", true, "bounce, complaint, unsubscribe, manual or import" },
    { "since", FLAG_TEXT, "since", true, "RFC 3339 time" },
    END,
};
static const struct flag suppression_add[] = {
    { "reason", FLAG_TEXT, "reason", false, "manual (standard), bounce, complaint, unsubscribe or import" },
    { "topic", FLAG_TEXT, "topic", false, "only for mail of this topic" },
    { "text", FLAG_TEXT, "text", false, "why, for people" },
    { "expires-at", FLAG_TEXT, "expires_at", false, "RFC 3339 time" },
    END,
};
static const struct flag delivery_list[] = {
    LISTING,
    { "status", FLAG_TEXT, "status", true, "queued, deferred, held, bounced …" },
    { "domain", FLAG_TEXT, "domain", true, "of the recipient" },
    { "email", FLAG_TEXT, "email", true, "recipient" },
    END,
};
static const struct flag attempt[] = { { "attempt", FLAG_NUMBER, "attempt", true, "in that attempt" }, END };
static const struct flag reason[] = { { "reason", FLAG_TEXT, "reason", false, "why, for people" }, END };
static const struct flag queue_act[] = {
    { "domain", FLAG_TEXT, "filter.domain", false, "to this domain" },
    { "status", FLAG_TEXT, "filter.status", false, "queued, deferred or held" },
    { "of-account", FLAG_TEXT, "filter.account_id", false, "of this account (operators)" },
    { "email", FLAG_TEXT, "filter.email", false, "to this address" },
    { "tag", FLAG_TEXT, "filter.tag", false, "name or name=value" },
    { "message", FLAG_TEXT, "filter.message_id", false, "of this message" },
    { "older", FLAG_NUMBER, "filter.older", false, "accepted so many seconds ago" },
    { "id", FLAG_TEXTS, "filter.ids", false, "this delivery; may be repeated" },
    { "limit", FLAG_NUMBER, "limit", false, "so many at most" },
    { "reason", FLAG_TEXT, "reason", false, "why, for people" },
    END,
};
static const struct flag suspend[] = {
    { "effect", FLAG_TEXT, "effect", false, "stop (standard) or slow" },
    { "connections", FLAG_NUMBER, "limits.connections", false, "slow: at once, of a path, provider or source" },
    { "per-minute", FLAG_NUMBER, "limits.per_minute", false, "slow: recipients" },
    { "reason", FLAG_TEXT, "reason", false, "why, for people" },
    { "expires-at", FLAG_TEXT, "expires_at", false, "RFC 3339 time" },
    END,
};
#define STREAM_FLAGS                                                                                                   \
    { "name", FLAG_TEXT, "name", false, "for people" },                                                                \
        { "opens", FLAG_SWITCH, "tracking.opens", false, "note when a mail is opened" },                               \
        { "clicks", FLAG_TEXT, "tracking.clicks", false, "none, html, text or both: note clicks in these" },           \
        { "unsubscribe", FLAG_TEXT, "unsubscribe", false, "none or one_click" },                                       \
        { "per-second", FLAG_NUMBER, "recipients_per_second", false, "so many recipients at most" },                   \
    {                                                                                                                  \
        "expires-after", FLAG_NUMBER, "expires_after", false, "seconds until a mail is given up"                       \
    }
static const struct flag stream_add[] = { { "kind", FLAG_TEXT, "kind", false, "transactional (standard) or broadcast" },
                                          STREAM_FLAGS,
                                          END };
static const struct flag stream_set[] = { { "slug", FLAG_TEXT, "slug", false, "its new slug" }, STREAM_FLAGS, END };
static const struct flag mailbox_add[] = { { "parent", FLAG_TEXT, "parent_id", false, "mailbox it lies in" }, END };
static const struct flag mailbox_set[] = {
    { "name", FLAG_TEXT, "name", false, "its new name" },
    { "parent", FLAG_TEXT, "parent_id", false, "mailbox it lies in, or null" },
    END,
};

static const struct flag user_forward[] = {
    { "to", FLAG_TEXTS, "target.addresses", false, "and to this address; may be repeated" },
    { "keep", FLAG_TEXT, "target.user_id", false, "user who gets a copy" },
    END,
};

const struct verb verbs[] = {
    { "domain", "list", "GET", "/v1/domains", 0, NULL, listing, &domain_members, "all domains" },
    { "domain", "add", "POST", "/v1/domains", 1, "name", domain_add, NULL, "NAME: a new domain" },
    { "domain", "show", "GET", "/v1/domains/{1}", 1, NULL, none, NULL, "DOMAIN" },
    { "domain", "set", "PATCH", "/v1/domains/{1}", 1, NULL, domain_add, NULL, "DOMAIN: changes what the flags say" },
    { "domain", "verify", "POST", "/v1/domains/{1}/verify", 1, NULL, domain_verify, NULL, "DOMAIN: asks the DNS now" },
    { "domain", "check", "POST", "/v1/domains/{1}/verify", 1, NULL, none, NULL,
      "DOMAIN: asks the DNS now, and says what to mend" },
    { "domain", "records", "GET", "/v1/domains/{1}", 1, NULL, domain_records, NULL,
      "DOMAIN: what to publish, as it was seen last" },
    { "domain", "rotate", "POST", "/v1/domains/{1}/dkim/rotate", 1, NULL, domain_records, NULL,
      "DOMAIN: the next DKIM keys, to be published" },
    { "domain", "import-key", "POST", "/v1/domains/{1}/dkim", 2, "-,selector", domain_key, NULL,
      "DOMAIN SELECTOR: a DKIM key of your own" },
    { "domain", "delete", "DELETE", "/v1/domains/{1}", 1, NULL, none, NULL, "DOMAIN" },
    { "route", "list", "GET", "/v1/routes", 0, NULL, listing, &route_members, "all routes" },
    { "route", "add", "POST", "/v1/routes", 1, "type", route_add, NULL, "mx|relay|capture|hold: a new route" },
    { "route", "explain", "GET", "/v1/routes/explain?to={1}", 1, NULL, route_explain, NULL,
      "ADDRESS: which way would a mail take, and why?" },
    { "route", "show", "GET", "/v1/routes/{1}", 1, NULL, none, NULL, "ROUTE-ID" },
    { "route", "set", "PATCH", "/v1/routes/{1}", 1, NULL, route_set, NULL, "ROUTE-ID: changes what the flags say" },
    { "route", "delete", "DELETE", "/v1/routes/{1}", 1, NULL, none, NULL, "ROUTE-ID" },
    { "user", "list", "GET", "/v1/users", 0, NULL, user_list, &user_members, "all users" },
    { "user", "add", "POST", "/v1/users", 1, "address", user_add, NULL, "ADDRESS: a new user" },
    { "user", "show", "GET", "/v1/users/{1}", 1, NULL, none, NULL, "USER" },
    { "user", "set", "PATCH", "/v1/users/{1}", 1, NULL, user_add, NULL, "USER: changes what the flags say" },
    { "user", "delete", "DELETE", "/v1/users/{1}", 1, NULL, user_delete, NULL, "USER" },
    { "user", "aliases", "GET", "/v1/addresses", 0, NULL, listing, &address_members, "all addresses" },
    { "user", "alias", "POST", "/v1/addresses", 2, "address,target.type=user,target.user_id", none, NULL,
      "ADDRESS USER-ID: one more address" },
    { "user", "forward", "POST", "/v1/addresses", 2, "address,target.type=forward,target.addresses[]", user_forward,
      NULL, "ADDRESS TO: an address whose mail is sent on" },
    { "user", "unalias", "DELETE", "/v1/addresses/{1}", 1, NULL, none, NULL, "ADDRESS-ID" },
    { "key", "list", "GET", "/v1/keys", 0, NULL, listing, &key_members, "all keys" },
    { "key", "add", "POST", "/v1/keys", 0, NULL, key_add, NULL, "a new key; its secret is shown this once" },
    { "key", "show", "GET", "/v1/keys/{1}", 1, NULL, none, NULL, "KEY-ID" },
    { "key", "set", "PATCH", "/v1/keys/{1}", 1, NULL, key_set, NULL, "KEY-ID: changes what the flags say" },
    { "key", "delete", "DELETE", "/v1/keys/{1}", 1, NULL, none, NULL, "KEY-ID" },
    { "message", "list", "GET", "/v1/messages", 0, NULL, message_list, &message_members, "what was sent" },
    { "message", "show", "GET", "/v1/messages/{1}", 1, NULL, none, NULL, "MESSAGE-ID" },
    { "message", "events", "GET", "/v1/messages/{1}/events", 1, NULL, listing, &event_members,
      "MESSAGE-ID: its timeline" },
    { "message", "deliveries", "GET", "/v1/deliveries?limit=100&message_id={1}", 1, NULL, none, &delivery_members,
      "MESSAGE-ID: its recipients" },
    { "message", "raw", "GET", "/v1/messages/{1}/raw", 1, NULL, none, NULL, "MESSAGE-ID: the mail as it is" },
    { "message", "move", "PATCH", "/v1/messages/{1}", 1, NULL, message_move, NULL,
      "MESSAGE-ID: another time for one that is scheduled" },
    { "message", "cancel", "POST", "/v1/messages/{1}/cancel", 1, NULL, none, NULL, "MESSAGE-ID: what still waits" },
    { "message", "delete", "DELETE", "/v1/messages/{1}", 1, NULL, none, NULL, "MESSAGE-ID: erases the content" },
    { "batch", "list", "GET", "/v1/batches", 0, NULL, listing, &batch_members, "batches, newest first" },
    { "batch", "show", "GET", "/v1/batches/{1}", 1, NULL, none, NULL, "BATCH-ID: how its messages stand" },
    { "batch", "messages", "GET", "/v1/batches/{1}/messages", 1, NULL, listing, &message_members, "BATCH-ID" },
    { "batch", "cancel", "POST", "/v1/batches/{1}/cancel", 1, NULL, none, NULL, "BATCH-ID: what still waits of it" },
    { "delivery", "list", "GET", "/v1/deliveries", 0, NULL, delivery_list, &delivery_members,
      "recipients, newest first" },
    { "delivery", "show", "GET", "/v1/deliveries/{1}", 1, NULL, none, NULL,
      "DELIVERY-ID: where it stands, why it waits" },
    { "delivery", "events", "GET", "/v1/deliveries/{1}/events", 1, NULL, listing, &event_members,
      "DELIVERY-ID: its timeline" },
    { "delivery", "transcript", "GET", "/v1/deliveries/{1}/transcript", 1, NULL, attempt, NULL,
      "DELIVERY-ID: what was said in its last attempt" },
    { "delivery", "retry", "POST", "/v1/deliveries/{1}/retry", 1, NULL, reason, NULL, "DELIVERY-ID: tries it now" },
    { "delivery", "hold", "POST", "/v1/deliveries/{1}/hold", 1, NULL, reason, NULL, "DELIVERY-ID: keeps it back" },
    { "delivery", "release", "POST", "/v1/deliveries/{1}/release", 1, NULL, reason, NULL,
      "DELIVERY-ID: lets it go on" },
    { "delivery", "bounce", "POST", "/v1/deliveries/{1}/bounce", 1, NULL, reason, NULL, "DELIVERY-ID: gives it up" },
    { "queue", "list", "GET", "/v1/queue", 0, NULL, listing, &queue_site_members, "what waits, site by site" },
    { "queue", "show", "GET", "/v1/queue/{1}", 1, NULL, none, NULL,
      "SITE: what waits for it, and the state of its path" },
    { "queue", "retry", "POST", "/v1/actions", 0, NULL, queue_act, NULL, "tries all that fits the flags now" },
    { "queue", "hold", "POST", "/v1/actions", 0, NULL, queue_act, NULL, "keeps back all that fits" },
    { "queue", "release", "POST", "/v1/actions", 0, NULL, queue_act, NULL, "lets what is held and fits go on" },
    { "queue", "bounce", "POST", "/v1/actions", 0, NULL, queue_act, NULL, "gives up all that fits" },
    { "queue", "actions", "GET", "/v1/actions", 0, NULL, listing, &action_members, "these, newest first" },
    { "queue", "suspend", "POST", "/v1/suspensions", 2, "scope,match", suspend, NULL,
      "SCOPE MATCH: stops or slows a site, provider, source, path, account, stream or tag" },
    { "queue", "resume", "DELETE", "/v1/suspensions/{1}", 1, NULL, none, NULL, "SUSPENSION-ID: ends it" },
    { "suspension", "list", "GET", "/v1/suspensions", 0, NULL, listing, &suspension_members, "what is suspended" },
    { "suspension", "show", "GET", "/v1/suspensions/{1}", 1, NULL, none, NULL, "SUSPENSION-ID" },
    { "template", "list", "GET", "/v1/templates", 0, NULL, listing, &template_members, "all templates" },
    { "template", "add", "POST", "/v1/templates", 1, "alias", template_add, NULL, "ALIAS: a new template, as a draft" },
    { "template", "show", "GET", "/v1/templates/{1}", 1, NULL, template_show, NULL, "TEMPLATE (id or alias)" },
    { "template", "set", "PATCH", "/v1/templates/{1}", 1, NULL, template_set, NULL,
      "TEMPLATE: changes of the draft what the flags say" },
    { "template", "publish", "POST", "/v1/templates/{1}/publish", 1, NULL, none, NULL,
      "TEMPLATE: makes the next version of the draft" },
    { "template", "versions", "GET", "/v1/templates/{1}/versions", 1, NULL, listing, &template_version_members,
      "TEMPLATE: what was published" },
    { "template", "restore", "POST", "/v1/templates/{1}/versions/{2}/restore", 2, NULL, none, NULL,
      "TEMPLATE NUMBER: the draft becomes that version" },
    { "template", "duplicate", "POST", "/v1/templates/{1}/duplicate", 1, NULL, template_copy, NULL,
      "TEMPLATE: a new one with its draft" },
    { "template", "render", "POST", "/v1/templates/{1}/render", 1, NULL, template_render, NULL,
      "TEMPLATE: what it says, with these values or its sample" },
    { "template", "test", "POST", "/v1/templates/{1}/test", 2, "-,to", template_test, NULL,
      "TEMPLATE ADDRESS: sends the draft there" },
    { "template", "delete", "DELETE", "/v1/templates/{1}", 1, NULL, none, NULL, "TEMPLATE: with its versions" },
    { "layout", "list", "GET", "/v1/layouts", 0, NULL, listing, &layout_members, "all layouts" },
    { "layout", "add", "POST", "/v1/layouts", 0, NULL, layout_set, NULL, "a new layout" },
    { "layout", "show", "GET", "/v1/layouts/{1}", 1, NULL, none, NULL, "LAYOUT-ID" },
    { "layout", "set", "PATCH", "/v1/layouts/{1}", 1, NULL, layout_set, NULL, "LAYOUT-ID: changes what the flags say" },
    { "layout", "delete", "DELETE", "/v1/layouts/{1}", 1, NULL, none, NULL, "LAYOUT-ID" },
    { "partial", "list", "GET", "/v1/partials", 0, NULL, listing, &partial_members, "all partials" },
    { "partial", "show", "GET", "/v1/partials/{1}", 1, NULL, none, NULL, "NAME" },
    { "partial", "put", "PUT", "/v1/partials/{1}", 1, NULL, partial_put, NULL, "NAME: {{> NAME}} stands for this" },
    { "partial", "delete", "DELETE", "/v1/partials/{1}", 1, NULL, none, NULL, "NAME" },
    { "stream", "list", "GET", "/v1/streams", 0, NULL, listing, &stream_members, "all streams" },
    { "stream", "add", "POST", "/v1/streams", 1, "slug", stream_add, NULL, "SLUG: a new stream" },
    { "stream", "show", "GET", "/v1/streams/{1}", 1, NULL, none, NULL, "STREAM (id or slug)" },
    { "stream", "set", "PATCH", "/v1/streams/{1}", 1, NULL, stream_set, NULL, "STREAM: changes what the flags say" },
    { "stream", "pause", "POST", "/v1/streams/{1}/pause", 1, NULL, reason, NULL, "STREAM: nothing of it leaves" },
    { "stream", "resume", "POST", "/v1/streams/{1}/resume", 1, NULL, reason, NULL, "STREAM: it leaves again" },
    { "stream", "delete", "DELETE", "/v1/streams/{1}", 1, NULL, none, NULL, "STREAM" },
    { "mailbox", "list", "GET", "/v1/users/{1}/mailboxes", 1, NULL, listing, &mailbox_members, "USER" },
    { "mailbox", "add", "POST", "/v1/users/{1}/mailboxes", 2, "-,name", mailbox_add, NULL, "USER NAME: a new mailbox" },
    { "mailbox", "set", "PATCH", "/v1/mailboxes/{1}", 1, NULL, mailbox_set, NULL,
      "MAILBOX-ID: changes what the flags say" },
    { "mailbox", "delete", "DELETE", "/v1/mailboxes/{1}", 1, NULL, none, NULL, "MAILBOX-ID" },
    { "mailbox", "entries", "GET", "/v1/mailboxes/{1}/entries", 1, NULL, listing, &entry_members,
      "MAILBOX-ID: what is in it" },
    { "mailbox", "changes", "GET", "/v1/mailboxes/{1}/changes?limit=100&since={2}", 2, NULL, none, NULL,
      "MAILBOX-ID MODSEQ: what changed since" },
    { "mailbox", "thread", "GET", "/v1/entries?limit=100&thread_id={1}", 1, NULL, none, &entry_members,
      "THREAD-ID: a mail and its answers" },
    { "mailbox", "read", "GET", "/v1/entries/{1}", 1, NULL, none, NULL, "ENTRY-ID: one mail" },
    { "mailbox", "raw", "GET", "/v1/entries/{1}/raw", 1, NULL, none, NULL, "ENTRY-ID: the mail as it is" },
    { "mailbox", "view", "GET", "/v1/entries/{1}/view", 1, NULL, entry_view, NULL,
      "ENTRY-ID: its HTML, safe to be shown" },
    { "mailbox", "move", "PATCH", "/v1/entries/{1}", 2, "-,mailbox_id", none, NULL, "ENTRY-ID MAILBOX-ID" },
    { "mailbox", "remove", "DELETE", "/v1/entries/{1}", 1, NULL, none, NULL, "ENTRY-ID: for good" },
    { "suppression", "list", "GET", "/v1/suppressions", 0, NULL, suppression_list, &suppression_members,
      "who gets no mail" },
    { "suppression", "add", "POST", "/v1/suppressions", 1, "email", suppression_add, NULL,
      "ADDRESS: gets no mail of applications" },
    { "suppression", "remove", "POST", "/v1/suppressions/remove", 1, "emails[]", none, NULL,
      "ADDRESS: gets mail again" },
    { "suppression", "check", "GET", "/v1/suppressions/check?email={1}", 1, NULL, none, NULL,
      "ADDRESS: does it get mail?" },
    { "suppression", "import", "POST", "/v1/suppressions", 1, "@text/csv", none, NULL,
      "FILE: a CSV, - for standard input; goes on in the background" },
    { "suppression", "progress", "GET", "/v1/suppressions/imports/{1}", 1, NULL, none, NULL,
      "IMPORT-ID: what came of it so far" },
    { "suppression", "export", "GET", "/v1/suppressions", 0, "@text/csv", suppression_export, NULL,
      "all of them as CSV" },
    { "config", "list", "GET", "/v1/settings?limit=100", 0, NULL, none, &setting_members, "all parameters" },
    { "config", "get", "GET", "/v1/settings/{1}", 1, NULL, none, NULL, "NAME" },
    { "config", "explain", "GET", "/v1/settings/{1}", 1, NULL, none, NULL,
      "NAME: what it means, its bounds, where its value comes from" },
    { "config", "set", "PATCH", "/v1/settings/{1}", 2, "-,value", none, NULL, "NAME VALUE" },
    { "config", "reset", "PATCH", "/v1/settings/{1}", 1, "-,value", none, NULL, "NAME: back to the default" },
    { "config", "history", "GET", "/v1/settings/{1}/history", 1, NULL, listing, &setting_change_members,
      "NAME: who changed it" },
    { NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL },
};
