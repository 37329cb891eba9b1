/* cli/send.c - send and sendmail: a mail by flags (send_body.c), or a whole one on standard input.
 *
 * sendmail takes what programs have been giving it for decades, and answers with sysexits.h, by which they decide
 * whether to try again. Lines get the CRLF of mail here; everything else of the mail is judged by the server. */
#include "base/json.h"
#include "cli/client.h"
#include "cli/send_body.h"
#include <unistd.h>

#define RAW_MAIL "message/rfc822"

/* What sendmail answers (sysexits.h), by our own exit code. */
static const int sysexits[] = { [EXIT_FINE] = 0,  [EXIT_FAILED] = 65,      [EXIT_USAGE] = 64,  [EXIT_TIMEOUT] = 75,
                                [EXIT_AUTH] = 77, [EXIT_UNREACHABLE] = 75, [EXIT_PARTIAL] = 75 };

static void print_recipient(struct json_object *one)
{
    struct json_object *verdict = json_member(one, "verdict"), *route = json_member(one, "route");
    struct bytes status = json_text(verdict, "status"), text = json_text(verdict, "text");

    printf("%.*s: %.*s, by %.*s", SHOW(json_text(one, "email")), SHOW(status.p ? status : BYTES("not judged")),
           SHOW(json_text(route, "type")));
    if (text.n)
        printf(" (%.*s)", SHOW(text));
    printf("\n");
}

static void print_each(struct json_object *answer, const char *name, const char *title)
{
    struct json_object *list = json_member(answer, name);

    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        struct json_object *one = json_object_array_get_idx(list, i);

        printf("%s: %.*s %.*s (%.*s)\n", title, SHOW(json_text(one, "pointer")), SHOW(json_text(one, "message")),
               SHOW(json_text(one, "code")));
    }
}

/* What would become of it (--dry-run), by the rules of the server. */
static int preview(const struct command_line *l, struct bytes body, const char *type)
{
    struct client_answer a;
    int result;

    client_call(
        l, &(struct client_request){ .method = "POST", .path = "/v1/previews", .body = body, .content_type = type },
        &a);
    result = client_result(l, &a);
    if (result == EXIT_FINE) {
        struct json_object *list = json_member(a.json, "recipients");

        for (size_t i = 0; !output_json(l) && list && i < json_object_array_length(list); i++)
            print_recipient(json_object_array_get_idx(list, i));
        if (output_json(l))
            output_answer(l, a.json, NULL);
        else {
            print_each(a.json, "errors", "error");
            print_each(a.json, "warnings", "warning");
        }
        result = json_object_get_boolean(json_member(a.json, "valid")) ? EXIT_FINE : EXIT_FAILED;
    }
    client_answer_clear(&a);
    return result;
}

static int post(const struct command_line *l, const char *path, struct bytes body, const char *type)
{
    struct client_answer a;
    int result;

    if (command_switch(l, "dry-run") && strcmp(type, RAW_MAIL) != 0)
        return preview(l, body, type);
    if (command_switch(l, "dry-run")) {
        printf("POST %s\n%.*s\n", path, SHOW(body));
        return EXIT_FINE;
    }
    client_call(l, &(struct client_request){ .method = "POST", .path = path, .body = body, .content_type = type }, &a);
    result = client_result(l, &a);
    if (result == EXIT_FINE && strcmp(l->program, "sendmail") != 0)
        output_answer(l, a.json, NULL);
    client_answer_clear(&a);
    return result;
}

/* Envelope as query: ?from=…&to=…&to=… */
static void add_envelope(struct buf *path, const char *name, const char *value)
{
    buf_addf(path, "%c%s=", memchr(path->p, '?', path->n) ? '&' : '?', name);
    client_escape(path, value);
}

/* Where a mail for sendmail ends without -i: before a line that is a dot. */
static size_t dot_at(struct bytes mail)
{
    for (size_t at = 0, n; at < mail.n; at += n) {
        struct bytes line = bytes_from(mail, at);

        n = bytes_find(line, '\n') + 1;
        if (bytes_equal(bytes_trim(bytes_head(line, n)), BYTES(".")) && line.p[0] == '.')
            return at;
    }
    return mail.n;
}

static int send_raw(const struct command_line *l, struct buf *path, bool dot_ends)
{
    struct buf mail, wire;
    int result = EXIT_USAGE;

    buf_init(&mail, SEND_MAIL_MAX);
    buf_init(&wire, 2 * SEND_MAIL_MAX);
    if (!send_read_file(stdin, &mail)) {
        output_error(l, "the mail on standard input is over %zu bytes", SEND_MAIL_MAX);
        goto out;
    }
    if (dot_ends)
        mail.n = dot_at(buf_bytes(&mail));
    for (size_t i = 0; i < mail.n; i++) { /* text from a Unix program: lines get the CRLF of mail */
        if (mail.p[i] == '\n' && (i == 0 || mail.p[i - 1] != '\r'))
            buf_addc(&wire, '\r');
        buf_addc(&wire, mail.p[i]);
    }
    buf_addc(path, '\0');
    if (path->overflowed) {
        output_error(l, "too many recipients");
        goto out;
    }
    result = post(l, path->p, buf_bytes(&wire), RAW_MAIL);
out:
    buf_clear(&mail);
    buf_clear(&wire);
    return result;
}

/* A whole mail goes to whoever the flags name, if they name somebody: --cc and --bcc no less than --to. */
static void add_envelopes(struct buf *path, const struct command_line *l)
{
    static const char *const names[][2] = { { "from", "from" }, { "to", "to" },           { "cc", "to" },
                                            { "bcc", "to" },    { "at", "scheduled_at" }, { "stream", "stream" } };

    for (size_t i = 0; i < l->n_values; i++)
        for (size_t k = 0; k < sizeof names / sizeof *names; k++)
            if (strcmp(l->values[i].flag->name, names[k][0]) == 0)
                add_envelope(path, names[k][1], l->values[i].text);
}

int send_main(int argc, char **argv)
{
    const struct flag *tables[] = { client_flags, send_flags, NULL };
    struct command_line l;
    struct buf request, path;
    const char *type;
    int result = EXIT_USAGE;

    if (!command_parse(argc, argv, tables, &l))
        return EXIT_USAGE;
    buf_init(&request, 2 * SEND_MAIL_MAX);
    buf_init(&path, 65536);
    buf_adds(&path, "/v1/messages");
    if (command_switch(&l, "subject") || command_switch(&l, "text") || command_switch(&l, "html") ||
        command_switch(&l, "attach") || command_switch(&l, "template") || command_switch(&l, "calendar-file")) {
        if (send_body(&l, &request, &type))
            result = post(&l, "/v1/messages", buf_bytes(&request), type);
    } else if (isatty(STDIN_FILENO)) {
        output_error(&l, "nothing to send: give --from, --to, --subject and --text, or a whole mail on standard input");
    } else {
        add_envelopes(&path, &l);
        result = send_raw(&l, &path, false);
    }
    buf_clear(&request);
    buf_clear(&path);
    return result;
}

/* The value of "-fVALUE" or "-f VALUE"; moves *i. */
static const char *short_value(int argc, char **argv, int *i)
{
    if (argv[*i][2])
        return argv[*i] + 2;
    return *i + 1 < argc ? argv[++*i] : NULL;
}

int sendmail_main(int argc, char **argv)
{
    struct command_line l = { .program = "sendmail" };
    bool from_header = false, dot_ends = true;
    const char *value;
    struct buf path;
    int result;

    buf_init(&path, 65536);
    buf_adds(&path, "/v1/messages");
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') {
            if (!from_header)
                add_envelope(&path, "to", argv[i]);
        } else if (strcmp(argv[i], "-t") == 0) {
            from_header = true;
        } else if (strcmp(argv[i], "-i") == 0 || strcmp(argv[i], "-oi") == 0) {
            dot_ends = false;
        } else if (argv[i][1] == 'f' || argv[i][1] == 'r') {
            value = short_value(argc, argv, &i);
            if (!value) {
                fprintf(stderr, "sendmail: %s wants an address\n", argv[argc - 1]);
                buf_clear(&path);
                return sysexits[EXIT_USAGE];
            }
            add_envelope(&path, "from", value);
        } else if (argv[i][1] == 'F' || argv[i][1] == 'N' || argv[i][1] == 'B' || (argv[i][1] == 'o' && !argv[i][2])) {
            short_value(argc, argv, &i); /* known, without meaning here */
        } else if (strcmp(argv[i], "-bs") == 0 || strcmp(argv[i], "-bp") == 0) {
            fprintf(stderr, "sendmail: %s is not offered: use the SMTP door or `postrider message list`\n", argv[i]);
            buf_clear(&path);
            return sysexits[EXIT_USAGE];
        } else if (strcmp(argv[i], "-ti") == 0 || strcmp(argv[i], "-it") == 0) {
            from_header = true;
            dot_ends = false;
        }
    }
    result = send_raw(&l, &path, dot_ends);
    buf_clear(&path);
    return sysexits[result];
}
