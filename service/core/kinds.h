/* service/core/kinds.h - every kind that is kept, as C rows. The tables (fields, indexes) are in kinds*.c; meanings in
 * the header of the resource. Texts are UTF-8; addresses and domains are in the form of address_normalize. */
#ifndef SERVICE_KINDS_H
#define SERVICE_KINDS_H
#include "store/store.h"

#define SCHEMA_VERSION 2 /* raised once by a release that adds steps to service/keep/upgrade.c */

/* How the rows of each kind that is claimed say who has them (store_claim). */
#define CLAIMED_BY .lease = "lease_until", .token = "token", .holder = "holder"

struct account_row {
    struct id id;
    struct bytes name;
    bool disabled, operator; /* the operator's account is made at first start */
    int64_t created_at;
    int64_t domains; /* how many it has: raised with each, so that none is made in one that is deleted */
    int64_t routes;  /* likewise: there is a most */
    int64_t templates, layouts, partials; /* likewise */
    int64_t streams;                      /* those beside the one that it began with */
};

struct domain_row {
    struct id id, account_id;
    struct bytes name;      /* unique */
    struct bytes inbound;   /* "mailboxes" | "off" */
    struct bytes catch_all; /* an address or null */
    int64_t verified_at, created_at;
    int64_t addresses; /* how many it has, as account.domains */
    int64_t dkim_keys; /* likewise */
    /* What its DNS said: identity/domain_check.h. */
    struct bytes proof;           /* by what it is verified: "dns"; null: by an operator's word, or not at all */
    int64_t lost_at;              /* when its records were found gone; null: they are there, or were never proved */
    bool return_path;             /* reports come back by its own records */
    int64_t checked_at, check_at; /* when it was asked, and will be; check_at null: due */
    struct bytes seen;            /* JSON: every answer of the last check (mail/lookups.h) */
};

/* A key that signs mail of a domain: service/identity/dkim.h. */
struct dkim_row {
    struct id id, account_id, domain_id;
    struct bytes selector;          /* unique in the domain */
    struct bytes algorithm, status; /* rsa|ed25519, next|active|retiring|revoked */
    struct bytes record;            /* the TXT record, with the public half */
    struct bytes private_key, wrap; /* PKCS#8, sealed; name of the key that it is sealed with. Null once revoked */
    int64_t bits;
    bool imported;
    int64_t created_at;
    int64_t seen_at; /* when its record was last found and right; null: never */
    int64_t active_at, retired_at, revoked_at;
};

struct route_row { /* which way mail leaves: queue/route.h */
    struct id id, account_id;
    int64_t position;
    /* What it takes; null: any. */
    struct bytes domain, sender_domain, tag, class, source; /* class: high | normal | bulk */
    struct bytes type;                                      /* mx | relay | capture | hold */
    struct bytes hosts;                                     /* JSON list */
    int64_t port;                                           /* 0: that of all */
    struct bytes lookup, tls;                               /* address | mx; may | none | require | verify */
    struct bytes username;
    struct bytes secret; /* the password: name of the server key, and sealed with it */
    bool private, insecure_auth;
    int64_t version; /* rises with each change: its ETag */
    int64_t created_at, updated_at;
};

struct user_row {
    struct id id, account_id, domain_id;
    struct bytes address;                         /* the primary one; unique */
    struct bytes name, password_hash, encryption; /* "server" (later "password") */
    struct bytes user_key, user_key_wrap;         /* the user's content key, wrapped; name of the key that wraps it */
    int64_t quota, used;
    bool disabled, save_sent;
    struct bytes send_as;  /* JSON list */
    struct bytes metadata; /* JSON object */
    int64_t last_login_at, created_at;
    int64_t addresses;      /* how many it has, as account.domains */
    int64_t guarded_until;  /* failed logins of its name are on record until then at most: see throttle.h */
    int64_t mailboxes_made; /* how many ever, by request: raised with each */
    int64_t modseq;         /* see modseq.h */
    int64_t gone_floor;     /* of removals with a modseq up to it nothing may be kept any more: see box/gone.h */
    int64_t uid_validity;   /* of the mailbox made last: raised with each, so that none ever comes again */
    /* Hashes what is looked up of their mails (entry.thread_id, msgid). Under the server's key whatever `encryption`
     * is: who files has no password. Null: made by an older build beside this one. */
    struct bytes index_key, index_key_wrap;
};

struct address_row {
    struct id id, account_id, domain_id, user_id; /* user_id: who gets its mail; null: it is only sent on */
    struct bytes address;                         /* unique */
    bool primary;
    struct bytes forward; /* JSON list of addresses that its mail is sent on to, or null */
    int64_t created_at;
};

struct key_row {
    struct id id, account_id;
    struct bytes name, mode;              /* "live" | "test" */
    int64_t scopes;                       /* bits of enum scope */
    struct bytes domain_ids, allowed_ips; /* JSON lists or null */
    struct bytes hash;                    /* of the secret; unique */
    struct bytes hint;                    /* its first characters, for people */
    int64_t expires_at, last_used_at, created_at;
};

struct setting_row {
    struct id id;
    struct bytes name, value; /* name unique; value null: back to the default */
    int64_t updated_at;
};

/* Watched: how a change reaches the other processes, and the history. */
struct setting_change_row {
    struct id id;
    struct bytes name, old_value, new_value, who;
    int64_t at;
};

struct node_row {
    struct id id;
    struct bytes name, version;
    int64_t started_at, seen_at;
    bool draining;
    struct bytes load; /* JSON */
};

struct idempotency_row {
    struct id id, account_id;
    struct bytes slot;      /* hash of credential, route and key; unique */
    struct bytes body_hash; /* keyed */
    int64_t status;
    struct bytes answer; /* the kept body, sealed; null: read `ref` again */
    struct bytes location;
    struct id ref;
    int64_t expires_at, created_at;
};

struct body_row {
    struct id id;
    int64_t size;       /* of the plain bytes */
    int64_t chunks;     /* 0: all in `data` */
    int64_t frame;      /* plain bytes that each chunk but the last holds; 0: inline, or one stream over all chunks */
    struct bytes codec; /* before sealing: "zstd" | "plain", and "zframe": each chunk a frame of zstd of its own */
    struct bytes data;  /* sealed; up to 256 KiB of plain bytes */
    int64_t expires_at; /* null once accepted; the sweep takes what is past it */
    int64_t created_at;
};

/* What of a mail is tracked: its opens, its links in HTML and in text. */
enum tracking_bit { TRACKING_OPENS = 1, TRACKING_HTML = 2, TRACKING_TEXT = 4 };

struct message_row {
    struct id id, account_id, body_id, key_id, user_id, request_id;
    struct bytes header_message_id;
    struct bytes direction, source, mode; /* outbound|inbound, api|submission|smtp|system, live|sandbox|test */
    struct bytes envelope_from;
    struct bytes people;         /* JSON: from, reply_to, to, cc, bcc as the API shows them (null for inbound) */
    struct bytes subject;        /* sealed with the content key; null once gone */
    struct bytes tags, metadata; /* JSON or null */
    struct bytes wrapped_key,
        wrap;           /* the content key for the sending account; null: inbound or gone; name of the wrapping key */
    struct bytes trace; /* lines we add before the body (Received); not part of the body */
    struct bytes auth;  /* JSON: where it comes from, of mail from other servers that was looked at; else null */
    bool junk;          /* it is laid into Junk */
    struct bytes dsn;   /* JSON {ret, envid} or null */
    int64_t size, content_until, created_at;
    bool no_store, dsn_wanted;
    /* Counts of its deliveries by where they stand: the API's status is derived from them. Raised in the batch that
     * changes a delivery. */
    int64_t n_open, n_held, n_delivered, n_captured, n_failed, n_cancelled;
    int64_t expires_at; /* when the row itself goes (retention) */
    /* What the entries of local recipients that are filed later will hold; null when there are none. */
    struct bytes summary;
    int64_t sent_at;
    bool header_8bit;
    struct bytes thread_root; /* sealed; null: its own id, or none waits */
    /* What whoever sends it on must know, from the stream as it came: 8 bits behind the header (RFC 6152), its longest
     * line without CRLF (RFC 5321 4.5.3.1.6), whether it bears a signature that is not ours and a conversion would
     * break, whether header or envelope sender need SMTPUTF8 (RFC 6531), asked for or not. */
    bool body_8bit, foreign_dkim, needs_utf8;
    int64_t longest_line;
    bool token_path; /* its sender named no return path: it leaves with one of ours, see queue/return_path.h */
    bool to_sign;    /* it should be signed and is not, for its key did not open: who sends it on signs it first */
    /* Of the author (From), for keys that are bound to domains; null for what came in, and in rows of before there was
     * this field: keys that are bound do not reach those. */
    struct id domain_id;
    int64_t bypass;   /* suppressions that are passed over: bits of suppression_bypass */
    bool require_tls; /* it leaves over TLS with a verified name, or not at all */
    /* Of one that was to begin later: message/release.h. */
    int64_t scheduled_at;       /* when */
    int64_t release_at;         /* when it is due; null once it has begun */
    int64_t lease_until, token; /* of whoever lets it begin */
    struct id holder;
    int64_t expires_after; /* seconds from then on; 0: delivery.expires_after */
    bool undated;          /* its Date is written then */
    bool save_to_sent;
    struct bytes priority; /* high|normal|bulk; null: by its time */
    struct id batch_id;    /* the request of many that it came with; null: alone */
    struct id template_id; /* what it was made of, and in which version; null: of no template */
    int64_t template_version;
    struct id stream_id;   /* null: what users sent, and rows of before */
    struct bytes topic;    /* what its mail is about, as one unsubscribes from it; or null */
    bool unsubscribes;     /* it says how */
    int64_t tracking;      /* bits of enum tracking_bit */
    int64_t opens, clicks; /* how many of its events there are: message/tracked.h */
};

struct batch_row { /* many messages sent by one request: message/batches.h */
    struct id id, account_id, key_id, request_id;
    struct bytes slot; /* of its Idempotency-Key, until all is taken; unique; null: it had none, or is complete */
    struct bytes body_hash;
    bool permissive, test;
    int64_t total, accepted, rejected;
    int64_t created_at, completed_at, expires_at;
};

struct view_row { /* the HTML of a preview, for whoever has its id: message/preview.h */
    struct id id, account_id;
    struct bytes html; /* sealed */
    int64_t created_at, expires_at;
};

struct tag_row { /* one for each tag of a message, for lists by tag */
    struct id id, account_id, message_id;
    struct bytes label; /* name=value */
    int64_t expires_at;
};

struct delivery_row {
    struct id id, account_id, message_id, body_id, user_id, entry_id;
    struct bytes email, kind, status; /* local|remote */
    struct bytes site;                /* recipient domain */
    int64_t part;                     /* 0-255: hash of the site; for nodes that share sites, later: never read */
    struct bytes mode;                /* live|sandbox|test, as the message */
    struct bytes dsn;                 /* JSON {notify, orcpt} or null */
    struct bytes wrapped_key, wrap;   /* while open */
    int64_t attempts;
    struct bytes last;                  /* JSON of the last attempt */
    int64_t due_at, lease_until, token; /* due_at is null when final or held */
    struct id holder;
    int64_t expires_at; /* when it is given up */
    int64_t failures;   /* of ours, to end it */
    struct id guest_id; /* the other account whose message counts it too, while open */
    int64_t final_at, created_at, keep_until;
    struct id domain_id; /* as the message's; of mail that came in, the recipient's */
    int64_t lapsed;      /* the lease that ran out before the present one: what it began may have been done */
    /* Mail that leaves is no local work: due_at stays null. "site/class/account/stream", the unit of order, fairness
     * and claiming; null when final or held. */
    struct bytes flow;
    struct bytes via;      /* the address of ours that sends it on, or null: the return path is made of it (SRS) */
    int64_t send_at;       /* its next attempt; without a flow: when its message is to begin (delivery_waits) */
    struct id source_id;   /* the address it has to leave from (greylisting); null while we have but one */
    int64_t complained_at; /* when its recipient called it spam */
    int64_t warned;        /* when its sender was mailed of the delay */
    /* Of a held one: since when, by which suspension (of a tag; else null), and why, for people. Null otherwise. */
    int64_t held_at;
    struct id held_by;
    struct bytes held_why;
    /* Attempts that a 5xx against who sends has put off, and the first of them (delivery.block_tries). */
    int64_t blocks, first_block_at;
};

struct suspension_row {                  /* what is kept from leaving: service/queue/suspension.h */
    struct id id, account_id;            /* whose, and of which account it is seen */
    struct bytes scope, match, effect;   /* site|provider|source|path|account|stream|tag; "stop" | "slow" */
    struct bytes limits;                 /* JSON {connections, per_minute} or null */
    struct bytes reason, author, origin; /* operator|rule|health */
    bool by_operator;                    /* a tenant that it is about sees it, and cannot end it */
    int64_t created_at, expires_at;
};

struct action_row { /* an act on many deliveries, and how far it is: service/queue/action.h */
    struct id id, account_id;
    struct bytes act, filter; /* retry|hold|release|bounce; JSON as it was given, its names in our form */
    struct bytes reason, author;
    struct bytes status; /* running|done|failed */
    bool dry_run;
    bool everywhere, test;   /* deliveries of all accounts; of test mail alone */
    struct bytes domain_ids; /* JSON list: of these domains alone; null: of all */
    int64_t most;            /* it ends when so many have matched; 0: with all */
    int64_t matched, done, failed;
    int64_t step; /* of its way, and how far it is on that */
    struct bytes place;
    int64_t created_at, finished_at, expires_at;
};

struct transcript_row { /* what was said in an attempt: service/queue/transcript.h */
    struct id id, account_id, delivery_id;
    int64_t attempt, at;
    struct id of;                   /* another row has the lines: of a recipient of the same transaction */
    struct bytes lines;             /* sealed JSON */
    struct bytes wrapped_key, wrap; /* its key under the server's */
    int64_t expires_at;
};

struct path_row {             /* a path that is not as one that is new: service/queue/path_state.h */
    struct id id;             /* of its name */
    struct bytes name, state; /* state: JSON, as it is shown; null: it is as a new one by now */
    struct bytes kept;        /* JSON: what another node needs to go on with it */
    struct bytes sites;       /* JSON list */
    int64_t at, expires_at;
};

/* Watched: rows of the kind `what` have changed, for the other nodes. */
struct nudge_row {
    struct id id;
    struct bytes what;
    int64_t at, expires_at;
};

struct mailbox_row {
    struct id id, account_id, user_id, parent_id;
    struct bytes name, role; /* role null for the user's own */
    struct bytes slot;       /* parent id and name folded to one text: unique with user_id */
    int64_t total, unseen, bytes, uid_next, uid_validity, modseq, created_at;
    int64_t created_modseq, props_modseq; /* when it was made; when what is not a count of its entries changed */
    bool unsubscribed;                    /* this way round, so that mailboxes of before are subscribed */
};

enum entry_flag { ENTRY_SEEN = 1, ENTRY_FLAGGED = 2, ENTRY_ANSWERED = 4, ENTRY_DRAFT = 8, ENTRY_DELETED = 16 };

struct entry_row {
    struct id id, account_id, user_id, mailbox_id, message_id, body_id;
    int64_t uid, modseq, flags, size; /* size: trace and body, with CRLF: what POP3 announces and sends */
    struct bytes keywords;            /* JSON list or null */
    struct bytes trace;               /* Return-Path and Received lines of this recipient */
    struct bytes auth;                /* as of its message */
    struct bytes wrapped_key, wrap;   /* the content key under the user's key */
    struct bytes summary; /* sealed JSON: from, to, subject, snippet, header_message_id, attachment names, count … */
    int64_t sent_at, received_at;
    bool header_8bit;                       /* internationalized mail (RFC 6532): POP3 without UTF8 gives a surrogate */
    int64_t created_modseq, arrived_modseq; /* when it was made; when it came into this mailbox. 0: by an older build */
    /* Null in rows of older builds. Both hashed with the user's index_key: see body/filing.h. */
    struct id thread_id;
    struct bytes msgid;
    struct id email_id;                 /* of a copy, what it is a copy of; null: its own id */
    int64_t saved_at;                   /* when it came into this mailbox (RFC 8514) */
    int64_t changed_modseq, changed_at; /* when it last changed in it; 0 and null: it is as it came */
};

/* What a batch did to one mailbox, where the rows that are left cannot tell. Watched. */
struct change_row {
    struct id id, account_id, user_id, mailbox_id;
    int64_t modseq;
    struct bytes what; /* "gone": entries are no more; "moved": to another mailbox; "box": the mailbox itself went */
    int64_t n;         /* of the entries */
    struct bytes uids; /* of the entries, see box/gone.h */
    struct bytes entry_ids; /* 16 bytes each */
    int64_t at, expires_at;
};

struct event_row { /* watched */
    struct id id, account_id, message_id, delivery_id;
    struct id user_id;              /* whose mailbox it is about: of local deliveries, of `mail.read` */
    struct bytes type, email, mode; /* mode: the message's */
    int64_t at;
    struct bytes tags, metadata, data; /* JSON or null */
    int64_t expires_at;
    struct id domain_id; /* of the delivery, else of the message; of `mail.read` the user's */
    struct bytes bundle; /* further events of the same batch, packed: see queue/bundle.h; null: there are none */
};

/* An address that gets no mail of the account, or of one stream or topic of it: queue/suppression.h. The id is made of
 * account, email, stream and topic. */
struct suppression_row {
    struct id id, account_id;
    struct bytes email; /* the local part without case, too */
    struct bytes reason;
    int64_t strength;    /* of the reason: the stronger one stays */
    struct id stream_id; /* null: the whole account */
    struct bytes topic;
    struct id delivery_id; /* that told */
    struct bytes text;
    int64_t created_at; /* with this reason */
    int64_t expires_at;
};

struct suppression_import_row { /* queue/suppression_import.h */
    struct id id, account_id;
    struct id body_id;              /* the file, until it is done */
    struct bytes wrapped_key, wrap; /* its content key under the server's */
    struct bytes status;            /* queued|running|done|failed */
    struct bytes columns;           /* which cell is what: a byte for each */
    int64_t separator;
    int64_t place, row;             /* behind which byte and record it goes on */
    int64_t read, added, unchanged; /* rows */
    struct bytes faults;            /* JSON list */
    int64_t n_faults;               /* in it */
    int64_t due_at, lease_until, token;
    struct id holder;
    int64_t created_at, finished_at;
    int64_t expires_at; /* of the row, once it is finished */
};

/* Templates of mails: service/template/template.h. What a template says is the same in its draft and in a version. */
struct template_row {
    struct id id, account_id;
    struct bytes alias; /* unique in the account; null: it has none */
    struct bytes name, dialect;
    struct id layout_id;
    struct bytes subject, html, text, amp_html;
    struct bytes sender, reply_to; /* JSON: an address, a list of them */
    struct bytes headers;          /* JSON: a list or a map */
    struct bytes variables;        /* JSON: a list of what may be given */
    struct bytes sample;           /* JSON: values to look at it with */
    int64_t version;               /* rises with each change: its ETag */
    int64_t draft_version;         /* the number that its draft gets when it is published */
    int64_t published_version;     /* 0: never */
    int64_t created_at, updated_at, published_at;
};

struct template_version_row { /* never changed */
    struct id id, account_id, template_id;
    int64_t number; /* from 1; unique with template_id */
    struct bytes name, dialect;
    struct id layout_id;
    struct bytes subject, html, text, amp_html, sender, reply_to, headers, variables, sample;
    /* As they were: the layout (null: none), and JSON [{name, html, text}] of the partials. */
    struct bytes layout_html, layout_text, partials;
    int64_t published_at;
};

struct layout_row {
    struct id id, account_id;
    struct bytes name, html, text;
    int64_t version; /* as template.version */
    int64_t created_at, updated_at;
};

struct partial_row {
    struct id id, account_id;
    struct bytes name; /* unique in the account */
    struct bytes html, text;
    int64_t version;
    int64_t created_at, updated_at;
};

struct stream_row { /* a kind of mail that an account sends: identity/stream.h. The default one has the account's number
                     */
    struct id id, account_id;
    struct bytes name, slug;       /* slug unique in the account */
    struct bytes kind;             /* transactional|broadcast */
    struct bytes tracking;         /* JSON {opens, clicks}; null: nothing is tracked */
    struct bytes unsubscribe;      /* none|one_click */
    struct id pool_id;             /* null: there are no pools yet */
    int64_t recipients_per_second; /* 0: no limit */
    int64_t expires_after;         /* seconds; 0: delivery.expires_after */
    int64_t paused_at, resumed_at; /* paused_at null: it is not; resumed_at: the last time */
    int64_t created_at;
};

struct stream_day_row { /* mail of one day, as its recipients took it: identity/stream_day.h */
    struct id id, account_id, stream_id;
    int64_t day;               /* when it begins */
    int64_t mails, complaints; /* recipients elsewhere; those who called it spam */
    int64_t expires_at;
};

struct poke_row { /* watched: something of a flow is due, for the node that sends: queue/poke.h */
    struct id id;
    struct bytes flow;
    int64_t send_at, expires_at;
};

struct consumer_row { /* how far a reader of the whole feed is: service/message/feed.h. The id is made of the name
                       */
    struct id id;
    struct bytes name, cursor;
    int64_t moved_at;
};

struct throttle_row { /* failed logins of a pair of network and user, by a keyed hash of it */
    struct id id;
    int64_t n, failed_at, expires_at; /* by the store's clock */
};

struct limit_row { /* what a name has taken of its allowance, by a keyed hash of it */
    struct id id;
    int64_t full_at; /* when it has all of it again: microseconds of the store's clock */
    int64_t expires_at;
};

struct copy_row { /* at most one: how far a copy into this store is, service/keep/copy.h */
    struct id id;
    int64_t origin;           /* identity of the store it comes from */
    struct bytes step, place; /* kind that is copied, null behind the last one; behind which row */
    int64_t rows;             /* of that kind */
    int64_t started_at, done_at;
};

struct upgrade_row { /* at most one: see upgrade.h */
    struct id id;
    int64_t step; /* the last one that is done */
};

extern const struct kind change_kind, account_kind, domain_kind, dkim_kind, user_kind, address_kind, key_kind,
    setting_kind, setting_change_kind, node_kind, idempotency_kind, body_kind, message_kind, tag_kind, delivery_kind,
    mailbox_kind, entry_kind, event_kind, batch_kind, view_kind, consumer_kind, throttle_kind, limit_kind, upgrade_kind,
    copy_kind, suppression_kind, suppression_import_kind, suspension_kind, action_kind, transcript_kind, nudge_kind,
    path_kind, route_kind, poke_kind, template_kind, template_version_kind, layout_kind, partial_kind, stream_kind,
    stream_day_kind;
extern const struct kind *const all_kinds[]; /* NULL-terminated, for store_open */
#endif
