/* mail/bounce.h: reports with fields and without, complaints, answering machines, and mail that is none of these */
#include "tests/mail/suite.h"

#include "mail/bounce.h"
#include <dirent.h>

static const struct mime_limits limits = { .depth = 10,
                                           .parts = 100,
                                           .part_header = 16384,
                                           .top_header = 1 << 18,
                                           .fields = { .header_value = 65536, .html = 1 << 20 } };
static struct classifier *classifier;

static void read_it(struct bytes message, struct arena *a, struct bounce *out)
{
    struct bounce_reading how = {
        .limits = &limits, .classifier = classifier, .recipients_max = 100, .text_max = 65536
    };

    bounce_read(&how, message, a, out);
}

/* ---- words, as servers write them ---- */

struct words_row {
    const char *from, *subject, *body;
    const char *final;
    enum dsn_action action;
    int code;
    enum why why;
    const char *id; /* of the original */
};

static const struct words_row words_rows[] = {
    /* qmail */
    { "MAILER-DAEMON@mx.example.net", "failure notice",
      "Hi. This is the qmail-send program at mx.example.net.\nI'm afraid I wasn't able to deliver your message to the "
      "following addresses.\nThis is a permanent error; I've given up. Sorry it didn't work out.\n\n"
      "<bo@example.net>:\n192.0.2.1 does not like recipient.\nRemote host said: 550 5.1.1 No such user\n"
      "Giving up on 192.0.2.1.\n\n--- Below this line is a copy of the message.\n\nReturn-Path: <ana@example.org>\n"
      "Message-ID: <1@example.org>\nTo: bo@example.net\n\nHello\n",
      "bo@example.net", DSN_FAILED, 550, WHY_UNKNOWN_USER, "<1@example.org>" },
    /* exim */
    { "Mail Delivery System <Mailer-Daemon@mx.example.net>", "Mail delivery failed: returning message to sender",
      "This message was created automatically by mail delivery software.\n\nA message that you sent could not be "
      "delivered to one or more of its\nrecipients. The following address(es) failed:\n\n  bo@example.net\n"
      "    SMTP error from remote mail server after RCPT TO:<bo@example.net>:\n    host mx [192.0.2.1]: 552 5.2.2 "
      "Quota "
      "exceeded\n\n------ This is a copy of the message, including all the headers. ------\n\n"
      "Return-path: <ana@example.org>\nMessage-Id: <2@example.org>\n",
      "bo@example.net", DSN_FAILED, 552, WHY_MAILBOX_FULL, "<2@example.org>" },
    /* sendmail of old */
    { "Mail Delivery Subsystem <MAILER-DAEMON@mx.example.net>", "Returned mail: Host unknown",
      "   ----- The following addresses had permanent fatal errors -----\n<bo@nowhere.example>\n\n"
      "   ----- Transcript of session follows -----\n550 <bo@nowhere.example>... Host unknown (Name server: host not "
      "found)\n\n   ----- Original message follows -----\nReceived: by mx\nMessage-Id: <3@example.org>\n",
      "bo@nowhere.example", DSN_FAILED, 550, WHY_UNKNOWN_DOMAIN, "<3@example.org>" },
    /* Exchange */
    { "postmaster@mx.example.net", "Undeliverable: Hello",
      "Delivery has failed to these recipients or distribution lists:\n\nbo@example.net\nThe recipient's e-mail "
      "address "
      "was not found in the recipient's e-mail system.\n\nDiagnostic information for administrators:\n\n"
      "Generating server: mx.example.net\n\nbo@example.net\n#550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##\n\n"
      "Original message headers:\n\nReceived: from x\nMessage-ID: <4@example.org>\n",
      "bo@example.net", DSN_FAILED, 550, WHY_UNKNOWN_USER, "<4@example.org>" },
    /* Domino */
    { "POSTMASTER@example.net", "DELIVERY FAILURE: User bo not listed in Domino Directory",
      "Your message\n\n  Subject: Hello\n\nwas not delivered to:\n\n  bo@example.net\n\nbecause:\n\n"
      "  User bo (bo@example.net) not listed in Domino Directory\n",
      "bo@example.net", DSN_FAILED, 0, WHY_UNKNOWN_USER, NULL },
    /* a delay */
    { "Mail Delivery Subsystem <mailer-daemon@example.net>", "Delivery Status Notification (Delay)",
      "This is an automatically generated Delivery Status Notification\n\nTHIS IS A WARNING MESSAGE ONLY.\n\n"
      "Delivery to the following recipient has been delayed:\n\n     bo@example.net\n\nMessage will be retried for 2 "
      "more day(s)\n\nTechnical details of temporary failure:\nConnection timed out\n",
      "bo@example.net", DSN_DELAYED, 0, WHY_NETWORK, NULL },
    /* nobody who could be answered, but the mail comes back */
    { "no-reply@example.net", "Mail delivery error",
      "Could not be delivered to: <bo@example.net>\n     As their mailbox is full.\n\n------ This is a copy of the "
      "message, including all the headers. ------\n\nReturn-path: <ana@example.org>\nMessage-Id: <5@example.org>\n",
      "bo@example.net", DSN_FAILED, 0, WHY_MAILBOX_FULL, "<5@example.org>" },
    /* a label, and a reply of several lines */
    { "<>", "Undeliverable mail",
      "Your mail could not be delivered.\n\nFailed recipient: bo@example.net\nReason: 554-5.7.1 Client host blocked\n"
      "554 using zen.spamhaus.org\n",
      "bo@example.net", DSN_FAILED, 554, WHY_REPUTATION, NULL },
};

static void write_plain(struct buf *out, const char *from, const char *subject, const char *more, const char *body)
{
    buf_init(out, 1 << 20);
    buf_addf(out, "From: %s\r\nTo: ana@example.org\r\nSubject: %s\r\n%s\r\n", from, subject, more);
    for (const char *c = body; *c; c++) {
        if (*c == '\n')
            buf_addc(out, '\r');
        buf_addc(out, *c);
    }
}

static void words_are_read(void **state)
{
    for (size_t i = 0; i < COUNT(words_rows); i++) {
        const struct words_row *r = &words_rows[i];
        struct buf mail;
        struct bounce b;

        write_plain(&mail, r->from, r->subject, "", r->body);
        read_it(buf_bytes(&mail), *state, &b);
        if (b.kind != BOUNCE_REPORT || b.n != 1)
            fail_msg("row %zu: kind %d, %zu recipients", i, b.kind, b.n);
        assert_bytes(b.recipients[0].final, bytes_of(r->final));
        if (b.recipients[0].action != r->action || b.recipients[0].code != r->code ||
            b.recipients[0].meaning.why != r->why)
            fail_msg("row %zu: action %d, code %d, %.*s by %s", i, b.recipients[0].action, b.recipients[0].code,
                     SHOW(why_text(b.recipients[0].meaning.why)), b.recipients[0].meaning.rule);
        assert_bytes(b.original_id, bytes_of(r->id));
        buf_clear(&mail);
    }
}

static void several_recipients_have_their_own_reasons(void **state)
{
    struct buf mail;
    struct bounce b;

    write_plain(&mail, "MAILER-DAEMON@mx.example.net", "failure notice", "",
                "I wasn't able to deliver your message.\n\n<bo@example.net>:\n550 5.1.1 No such user\n\n"
                "<cy@example.net>:\n552 5.2.2 Mailbox full\n\n<ana@example.org> wrote this mail.\n");
    read_it(buf_bytes(&mail), *state, &b);
    assert_int_equal(b.n, 2);
    assert_bytes(b.recipients[0].final, BYTES("bo@example.net"));
    assert_int_equal(b.recipients[0].meaning.why, WHY_UNKNOWN_USER);
    assert_true(meaning_suppresses(b.recipients[0].meaning));
    assert_bytes(b.recipients[1].final, BYTES("cy@example.net"));
    assert_bytes(b.recipients[1].status, BYTES("5.2.2"));
    assert_int_equal(b.recipients[1].meaning.why, WHY_MAILBOX_FULL);
    assert_false(meaning_suppresses(b.recipients[1].meaning));
    buf_clear(&mail);
}

static void kinds(void **state)
{
    static const struct {
        const char *from, *subject, *more, *body;
        enum bounce_kind kind;
    } rows[] = {
        { "Bo <bo@example.net>", "Re: Hello", "", "I could not deliver the parcel to cy@example.net: user unknown.\n",
          BOUNCE_NONE },
        { "Bo <bo@example.net>", "Undeliverable: Hello", "", "<cy@example.net>: 550 5.1.1 No such user\n",
          BOUNCE_NONE },
        { "postmaster@example.net", "Our new offices", "", "Write to cy@example.net from now on.\n", BOUNCE_NONE },
        { "MAILER-DAEMON@example.net", "failure notice", "", "Something was not delivered.\n", BOUNCE_NONE },
        { "Bo <bo@example.net>", "Delivery report", "",
          "Final-Recipient: rfc822; cy@example.net\nAction: failed\nStatus: 5.1.1\n", BOUNCE_NONE },
        { "no-reply@example.net", "Delivery report", "", "Could not be delivered to: cy@example.net\n", BOUNCE_NONE },
        { "Bo <bo@example.net>", "Hello", "Auto-Submitted: no\r\n", "x\n", BOUNCE_NONE },
        { "Bo <bo@example.net>", "Re: Hello", "Auto-Submitted: auto-replied\r\n", "I am away.\n", BOUNCE_AUTO_REPLY },
        { "Bo <bo@example.net>", "Out of office: Hello", "", "I am away.\n", BOUNCE_AUTO_REPLY },
        { "Bo <bo@example.net>", "Hello", "X-Autoreply: yes\r\n", "I am away.\n", BOUNCE_AUTO_REPLY },
        { "Bo <bo@example.net>", "Re: Hello", "Return-Path: <>\r\nAuto-Submitted: auto-replied\r\n",
          "Returned to sender by cy@example.net, I could not deliver.\n", BOUNCE_AUTO_REPLY },
        { "Bo <bo@example.net>", "Re: Hello", "Return-Path: <>\r\n", "I could not deliver it to cy@example.net.\n",
          BOUNCE_NONE },
        { "Bo <bo@example.net>", "=?utf-8?Q?Automatische_Antwort=3A_Hallo?=", "Return-Path: <>\r\n",
          "Ich bin nicht da.\n", BOUNCE_AUTO_REPLY },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf mail;
        struct bounce b;

        write_plain(&mail, rows[i].from, rows[i].subject, rows[i].more, rows[i].body);
        read_it(buf_bytes(&mail), *state, &b);
        if (b.kind != rows[i].kind)
            fail_msg("row %zu: kind %d", i, b.kind);
        buf_clear(&mail);
    }
}

/* ---- fields ---- */

static const char report_start[] =
    "From: x@example.net\r\nContent-Type: multipart/report; report-type=delivery-status; "
    "boundary=b\r\n\r\n--b\r\n\r\nNot delivered.\r\n--b\r\n"
    "Content-Type: message/delivery-status\r\n\r\n";
static const char report_end[] = "\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nReturn-Path: "
                                 "<b+abc@rp.example.org>\r\nMessage-ID: <1@example.org>\r\n\r\n--b--\r\n";

static void fields_are_read_however_they_stand(void **state)
{
    static const char *const rows[] = {
        "Reporting-MTA: dns; mx.example.net\r\nOriginal-Envelope-Id: e1\r\n\r\nFinal-Recipient: rfc822; "
        "bo@example.net\r\n"
        "Action: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx\r\nDiagnostic-Code: smtp; 550 5.1.1\r\n User "
        "unknown\r\n"
        "\r\nFinal-Recipient: rfc822; cy@example.net\r\nAction: relayed\r\nStatus: 2.1.5\r\n",
        /* no empty lines, other order, brackets, no types */
        "Reporting-MTA: mx.example.net\r\nOriginal-Envelope-Id: e1\r\nfinal-recipient: <bo@example.net>\r\n"
        "STATUS: 5.1.1 (bad)\r\nAction: Failed (permanently)\r\nRemote-MTA: mx\r\nDiagnostic-Code: 550 5.1.1 User "
        "unknown\r\n"
        "Final-Recipient: rfc822;cy@example.net\r\nStatus: 2.1.5\r\nAction: relayed\r\n",
        /* the recipient last, too many empty lines */
        "\r\n\r\nReporting-MTA: dns; mx.example.net\r\nOriginal-Envelope-Id: e1\r\n\r\n\r\nAction: failed\r\nStatus: "
        "5.1.1\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 User unknown\r\nRemote-MTA: dns; mx\r\nFinal-Recipient: rfc822; "
        "bo@example.net\r\n"
        "\r\n\r\nAction: relayed\r\nStatus: 2.1.5\r\nFinal-Recipient: rfc822; cy@example.net\r\n",
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf mail;
        struct bounce b;

        buf_init(&mail, 1 << 16);
        buf_addf(&mail, "%s%s%s", report_start, rows[i], report_end);
        read_it(buf_bytes(&mail), *state, &b);
        assert_int_equal(b.kind, BOUNCE_REPORT);
        assert_int_equal(b.n, 2);
        assert_bytes(b.reporting_mta, BYTES("mx.example.net"));
        assert_bytes(b.envelope_id, BYTES("e1"));
        assert_bytes(b.original_id, BYTES("<1@example.org>"));
        assert_bytes(b.original_mail_from, BYTES("b+abc@rp.example.org"));
        assert_bytes(b.recipients[0].final, BYTES("bo@example.net"));
        assert_int_equal(b.recipients[0].action, DSN_FAILED);
        assert_bytes(b.recipients[0].status, BYTES("5.1.1"));
        assert_int_equal(b.recipients[0].code, 550);
        assert_bytes(b.recipients[0].remote_mta, BYTES("mx"));
        assert_int_equal(b.recipients[0].meaning.why, WHY_UNKNOWN_USER);
        assert_bytes(b.recipients[1].final, BYTES("cy@example.net"));
        assert_int_equal(b.recipients[1].action, DSN_RELAYED);
        buf_clear(&mail);
    }
}

static void many_recipients_are_bounded(void **state)
{
    struct buf mail;
    struct bounce b;

    buf_init(&mail, 1 << 20);
    buf_adds(&mail, report_start);
    for (int i = 0; i < 5000; i++)
        buf_addf(&mail, "Final-Recipient: rfc822; r%d@example.net\r\nAction: failed\r\n\r\n", i);
    read_it(buf_bytes(&mail), *state, &b);
    assert_int_equal(b.n, 100);
    buf_clear(&mail);
}

static const char *complaint(struct arena *a, const char *type)
{
    return arena_printf(a,
                        "From: fbl@example.net\r\nContent-Type: multipart/report; report-type=feedback-report; "
                        "boundary=b\r\n\r\n--b\r\n\r\nA complaint.\r\n--b\r\n"
                        "Content-Type: message/feedback-report\r\n\r\nFeedback-Type: %s\r\nUser-Agent: x/1\r\n"
                        "Version: 1\r\nOriginal-Mail-From: <b+abc@rp.example.org>\r\nSource-IP: 192.0.2.1\r\n"
                        "Original-Rcpt-To: <bo@example.net>\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
                        "Message-ID: <1@example.org>\r\nTo: bo@example.net\r\n\r\nx\r\n--b--\r\n",
                        type);
}

static void complaints_are_read(void **state)
{
    static const struct {
        const char *type;
        bool complains;
    } rows[] = { { "abuse", true }, { "Fraud", true }, { "not-spam", false }, { "auth-failure", false } };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct bounce b;

        read_it(bytes_of(complaint(*state, rows[i].type)), *state, &b);
        assert_int_equal(b.kind, BOUNCE_COMPLAINT);
        assert_true(bytes_equal_nocase(b.feedback_type, bytes_of(rows[i].type)));
        assert_int_equal(b.complains, rows[i].complains);
        assert_bytes(b.original_mail_from, BYTES("b+abc@rp.example.org"));
        assert_bytes(b.source_ip, BYTES("192.0.2.1"));
        assert_bytes(b.original_id, BYTES("<1@example.org>"));
        assert_int_equal(b.n, 1);
        assert_bytes(b.recipients[0].final, BYTES("bo@example.net"));
    }
}

/* JSON in a line that sendmail broke, with SNS's words below it; only from there. */
static void notices_of_amazon(void **state)
{
    static const char body[] =
        "{\"notificationType\":\"Bounce\",\"bounce\":{\"bouncedRecipients\":[{\"emailAddress\":\"bo@exam!\n "
        "ple.net\",\"action\":\"failed\",\"status\":\"5.1.1\",\"diagnosticCode\":\"smtp; 550 5.1.1 user "
        "unknown\"}]},\"mail\":{\"source\":\"ana@example.org\"}}\n\n--\nTo stop these: x@example.com\n";
    static const char complaint_body[] =
        "{\"notificationType\":\"Complaint\",\"complaint\":{\"complainedRecipients\":[{\"emailAddress\":"
        "\"bo@example.net\"}],\"complaintFeedbackType\":\"abuse\"},\"mail\":{}}\n";
    struct buf mail;
    struct bounce b;

    write_plain(&mail, "x <no-reply@sns.amazonaws.com>", "AWS Notification Message", "", body);
    read_it(buf_bytes(&mail), *state, &b);
    assert_int_equal(b.kind, BOUNCE_REPORT);
    assert_int_equal(b.n, 1);
    assert_bytes(b.recipients[0].final, BYTES("bo@example.net"));
    assert_int_equal(b.recipients[0].meaning.why, WHY_UNKNOWN_USER);
    assert_bytes(b.original_mail_from, BYTES("ana@example.org"));
    buf_clear(&mail);
    write_plain(&mail, "no-reply@sns.amazonaws.com", "AWS Notification Message", "", complaint_body);
    read_it(buf_bytes(&mail), *state, &b);
    assert_int_equal(b.kind, BOUNCE_COMPLAINT);
    assert_true(b.complains && b.n == 1);
    buf_clear(&mail);
    write_plain(&mail, "bo@example.net", "AWS Notification Message", "", body);
    read_it(buf_bytes(&mail), *state, &b);
    assert_int_equal(b.kind, BOUNCE_NONE);
    buf_clear(&mail);
}

/* ---- the public suite: what Sisimai calls it, and what we may call that ---- */

/* What each class is to us: its causes, and how long it lasts. Where there are several, Sisimai puts into one class
 * what differs for who sends, or has no class for it (TLS). */
enum {
    P = 1 << PERMANENCE_PERMANENT,
    T = 1 << PERMANENCE_TEMPORARY,
    B = 1 << PERMANENCE_BLOCK,
    U = 1 << PERMANENCE_UNDETERMINED
};

static const struct class_row {
    const char *reason;
    enum why why[3];
    unsigned lasts;
} classes[] = {
    { "userunknown", { WHY_UNKNOWN_USER }, P },
    { "hasmoved", { WHY_UNKNOWN_USER }, P },
    { "hostunknown", { WHY_UNKNOWN_DOMAIN }, P },
    { "notaccept", { WHY_UNKNOWN_DOMAIN }, P },
    { "mailboxfull", { WHY_MAILBOX_FULL }, T },
    { "filtered", { WHY_POLICY, WHY_INACTIVE_USER, WHY_UNKNOWN_USER }, B | U },
    { "rejected", { WHY_SENDER_REJECTED, WHY_AUTH, WHY_POLICY }, B | U }, /* the last by the recipient's own filter */
    { "expired", { WHY_EXPIRED, WHY_NETWORK }, T },
    { "blocked", { WHY_REPUTATION, WHY_RATE, WHY_AUTH }, B | T },
    { "badreputation", { WHY_REPUTATION }, B },
    { "requireptr", { WHY_AUTH }, B },
    { "authfailure", { WHY_AUTH }, B },
    { "suspend", { WHY_INACTIVE_USER }, U | T },
    { "networkerror", { WHY_NETWORK, WHY_DNS, WHY_LOOP }, T | P },
    { "mailererror", { WHY_SYSTEM }, T },
    { "systemerror", { WHY_SYSTEM, WHY_LOOP, WHY_TLS }, T | P },
    { "spamdetected", { WHY_SPAM_CONTENT }, B },
    { "policyviolation", { WHY_POLICY }, B },
    { "securityerror", { WHY_POLICY, WHY_AUTH }, B },
    { "onhold", { WHY_UNDETERMINED }, U },
    { "mesgtoobig", { WHY_TOO_LARGE }, P },
    { "exceedlimit", { WHY_TOO_LARGE }, P },
    { "norelaying", { WHY_RELAY_DENIED, WHY_SENDER_REJECTED }, B },
    { "contenterror", { WHY_PROTOCOL, WHY_POLICY }, P | B },
    { "virusdetected", { WHY_VIRUS }, P },
    { "toomanyconn", { WHY_RATE }, T },
    { "speeding", { WHY_RATE }, T },
    { "syntaxerror", { WHY_PROTOCOL }, P },
    { "notcompliantrfc", { WHY_PROTOCOL }, P },
};

static bool may_be(struct bytes reason, struct meaning m)
{
    for (size_t i = 0; i < COUNT(classes); i++)
        if (bytes_equal(reason, bytes_of(classes[i].reason)))
            for (size_t k = 0; k < COUNT(classes[i].why) && (k == 0 || classes[i].why[k]); k++)
                if (classes[i].why[k] == m.why)
                    return classes[i].lasts >> m.permanence & 1;
    return false;
}

/* Cause and permanence of the n-th recipient as the suite has them; "hard" is what suppresses. */
static bool is_right(const struct bounce *b, size_t n, struct bytes reason, bool hard)
{
    if (bytes_equal(reason, BYTES("feedback")))
        return b->kind == BOUNCE_COMPLAINT;
    if (bytes_equal(reason, BYTES("vacation")))
        return b->kind == BOUNCE_AUTO_REPLY;
    if (b->kind != BOUNCE_REPORT || n >= b->n)
        return false;
    if (bytes_equal(reason, BYTES("delivered")))
        return b->recipients[n].action == DSN_DELIVERED || b->recipients[n].action == DSN_RELAYED;
    return may_be(reason, b->recipients[n].meaning) && meaning_suppresses(b->recipients[n].meaning) == hard;
}

static void the_suite_of_sisimai(void **state)
{
    struct buf table, mail;
    struct bytes rest, line, columns[5], last = NO_BYTES;
    struct bounce b = { 0 };
    size_t rows = 0, right = 0, nth = 0;
    char name[256];

    suite_read("bounces-sisimai/expected.tsv", &table);
    rest = buf_bytes(&table);
    bytes_cut(rest, '\n', &line, &rest);
    buf_init(&mail, 1);
    while (bytes_cut(rest, '\n', &line, &rest)) {
        for (int i = 0; i < 5; i++)
            bytes_cut(line, '\t', &columns[i], &line);
        nth = bytes_equal(last, columns[0]) ? nth + 1 : 0;
        if (nth == 0) {
            buf_clear(&mail);
            arena_reset(*state);
            snprintf(name, sizeof name, "bounces-sisimai/mail/%.*s", SHOW(columns[0]));
            suite_read(name, &mail);
            read_it(buf_bytes(&mail), *state, &b);
        }
        last = columns[0];
        if (bytes_equal(columns[3], BYTES("undefined")) || /* no class; the second mail of one file */
            (nth == 1 && bytes_equal(columns[0], BYTES("rfc3464-28.eml"))))
            continue;
        rows++;
        if (is_right(&b, nth, columns[3], bytes_equal(columns[4], BYTES("true"))))
            right++;
        else if (getenv("SHOW_WRONG"))
            print_message("%.*s[%zu of %zu]: kind %d %.*s/%.*s by %s, want %.*s/%.*s | %d %.*s | %.*s\n",
                          SHOW(columns[0]), nth, b.n, b.kind,
                          SHOW(why_text(nth < b.n ? b.recipients[nth].meaning.why : WHY_UNDETERMINED)),
                          SHOW(permanence_text(nth < b.n ? b.recipients[nth].meaning.permanence : 0)),
                          nth < b.n ? b.recipients[nth].meaning.rule : "", SHOW(columns[3]), SHOW(columns[4]),
                          nth < b.n ? b.recipients[nth].code : 0, SHOW(nth < b.n ? b.recipients[nth].status : NO_BYTES),
                          SHOW(nth < b.n ? bytes_head(b.recipients[nth].reply, 300) : NO_BYTES));
    }
    print_message("%zu of %zu right\n", right, rows);
    buf_clear(&table);
    buf_clear(&mail);
    assert_true(right * 100 >= rows * 95);
}

/* Every file of a suite's folder, and those below it. */
static void each_file(const char *folder, void (*look)(const char *path, struct bytes message, void *ctx), void *ctx)
{
    DIR *d = opendir(folder);
    struct dirent *entry = NULL;

    while (d && (entry = readdir(d))) {
        char path[1024];
        struct buf mail;

        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] == '.' || strstr(path, "LICENSE") || strstr(path, "SOURCE") || strstr(path, ".xml") ||
            strstr(path, ".json") || strstr(path, "_decoded") || strstr(path, ".out"))
            continue;
        if (entry->d_type == DT_DIR)
            each_file(path, look, ctx);
        else if (read_whole(path, &mail)) {
            look(path, buf_bytes(&mail), ctx);
            buf_clear(&mail);
        }
    }
    if (d)
        closedir(d);
}

struct tally {
    size_t looked, wrong;
};

/* What has the part of a report is one, whoever collected it; that somebody writes of its fields makes none. */
static void is_no_report(const char *path, struct bytes message, void *ctx)
{
    struct tally *t = ctx;
    struct arena *a = arena_new(64 << 20);
    struct bounce b;

    read_it(message, a, &b);
    t->looked++;
    if (strstr(path, "/badbound.msg")) /* a real report of a Netscape Mail Server, words only */
        assert_int_equal(b.kind, BOUNCE_REPORT);
    else if (b.kind == BOUNCE_REPORT && !memmem(message.p, message.n, "essage/delivery-status", 22) &&
             !memmem(message.p, message.n, "essage/DELIVERY-STATUS", 22)) {
        print_message("%s is taken for a report about %.*s: %.*s\n", path, SHOW(b.recipients[0].final),
                      SHOW(bytes_head(b.recipients[0].reply, 200)));
        t->wrong++;
    }
    if (b.kind == BOUNCE_COMPLAINT && !memmem(message.p, message.n, "feedback", 8)) {
        print_message("%s is taken for a complaint\n", path);
        t->wrong++;
    }
    arena_free(&a);
}

static void other_mail_is_no_report(void **state)
{
    static const char *const folders[] = { "mime-cpython",          "mime-mime4j",           "mime-stalwart-parser",
                                           "spam-ham-spamassassin", "dkim-vectors-stalwart", "arc-samples-stalwart" };
    struct tally t = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT(folders); i++) {
        char path[512];

        snprintf(path, sizeof path, "%s/%s", suites_folder(), folders[i]);
        each_file(path, is_no_report, &t);
    }
    if (t.looked == 0) {
        print_message("skipped: no suites\n");
        skip();
    }
    print_message("%zu of %zu taken for what they are not\n", t.wrong, t.looked);
    assert_int_equal(t.wrong, 0);
    assert_true(t.looked > 150);
}

static void assert_member(struct json_object *o, const char *name, struct bytes got)
{
    struct bytes want = json_bytes(json_object_object_get(o, name));

    if (want.n && want.p[0] != '<')
        assert_bytes(got, want);
    else if (want.n)
        assert_true(memmem(want.p, want.n, got.p, got.n) != NULL);
}

static void the_complaints_of_stalwart(void **state)
{
    for (int i = 1; i <= 5; i++) {
        char name[64];
        struct buf mail;
        struct bounce b;
        struct json_object *want = NULL, *rcpt = NULL;
        struct bytes type;

        snprintf(name, sizeof name, "arf-stalwart/%03d.json", i);
        want = suite_json(name);
        snprintf(name, sizeof name, "arf-stalwart/%03d.eml", i);
        suite_read(name, &mail);
        read_it(buf_bytes(&mail), *state, &b);
        assert_int_equal(b.kind, BOUNCE_COMPLAINT);
        type = json_bytes(json_object_object_get(want, "feedback_type"));
        if (bytes_equal(type, BYTES("AuthFailure")))
            type = BYTES("auth-failure");
        if (!bytes_equal_nocase(b.feedback_type, type))
            fail_msg("%s: %.*s, not %.*s", name, SHOW(b.feedback_type), SHOW(type));
        assert_member(want, "original_mail_from", b.original_mail_from);
        assert_member(want, "original_envelope_id", b.envelope_id);
        assert_member(want, "source_ip", b.source_ip);
        rcpt = json_object_object_get(want, "original_rcpt_to");
        if (b.n && json_bytes(rcpt).n)
            assert_true(memmem(json_bytes(rcpt).p, json_bytes(rcpt).n, b.recipients[0].final.p,
                               b.recipients[0].final.n) != NULL);
        json_object_put(want);
        buf_clear(&mail);
    }
}

static int begin(void **state)
{
    struct err e = { 0 };

    (void)state;
    params_init();
    return classifier_new(NO_BYTES, &classifier, &e) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    classifier_free(&classifier);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        ARENA_TEST(words_are_read),
        ARENA_TEST(several_recipients_have_their_own_reasons),
        ARENA_TEST(kinds),
        ARENA_TEST(fields_are_read_however_they_stand),
        ARENA_TEST(many_recipients_are_bounded),
        ARENA_TEST(complaints_are_read),
        ARENA_TEST(notices_of_amazon),
        ARENA_TEST(the_suite_of_sisimai),
        ARENA_TEST(other_mail_is_no_report),
        ARENA_TEST(the_complaints_of_stalwart),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
