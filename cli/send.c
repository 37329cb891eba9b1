/* cli/send.c - send and sendmail: a mail by flags, or a whole one on standard input.
 *
 * sendmail takes what programs have been giving it for decades, and answers with sysexits.h, by which they decide
 * whether to try again. Lines get the CRLF of mail here; everything else of the mail is judged by the server. */
#include "base/crypt.h"
#include "base/json.h"
#include "cli/client.h"
#include <unistd.h>

#define MAIL_MAX (64u * 1024 * 1024)

/* What sendmail answers (sysexits.h), by our own exit code. */
static const int sysexits[] = { [EXIT_FINE] = 0,  [EXIT_FAILED] = 65,      [EXIT_USAGE] = 64,  [EXIT_TIMEOUT] = 75,
                                [EXIT_AUTH] = 77, [EXIT_UNREACHABLE] = 75, [EXIT_PARTIAL] = 75 };

static const struct flag send_flags[] = {
    { "from", FLAG_TEXT, "from", false, "sender: a@b or \"Name <a@b>\"" },
    { "to", FLAG_TEXTS, "to", false, "recipient, may be repeated" },
    { "cc", FLAG_TEXTS, "cc", false, "recipient, may be repeated" },
    { "bcc", FLAG_TEXTS, "bcc", false, "recipient, may be repeated" },
    { "reply-to", FLAG_TEXTS, "reply_to", false, "where answers go" },
    { "subject", FLAG_TEXT, "subject", false, "" },
    { "text", FLAG_TEXT, "text", false, "plain text" },
    { "html", FLAG_TEXT, "html", false, "HTML" },
    { "attach", FLAG_TEXTS, NULL, false, "file to attach, may be repeated" },
    { "template", FLAG_TEXT, NULL, false, "id or alias: what is rendered instead of text and html" },
    { "template-version", FLAG_NUMBER, NULL, false, "of it; standard: the one published last" },
    { "var", FLAG_NAMED, NULL, false, "name=value for the template, may be repeated" },
    { "variables-file", FLAG_JSON, NULL, false, "file with all values for it, as JSON" },
    { "stream", FLAG_TEXT, "stream", false, "slug or id of the stream it is of" },
    { "at", FLAG_TEXT, "scheduled_at", false, "when it begins (RFC 3339 time)" },
    { "save-to-sent", FLAG_SWITCH, "save_to_sent", false, "keep a copy in the sender's Sent" },
    { NULL, FLAG_TEXT, NULL, false, NULL },
};

static bool read_all(FILE *f, struct buf *out)
{
    char block[16384];
    size_t n;

    while ((n = fread(block, 1, sizeof block, f)) > 0)
        buf_add(out, (struct bytes){ block, n });
    return !ferror(f) && !out->overflowed;
}

static bool attach(struct jw *w, const char *path)
{
    const char *slash = strrchr(path, '/');
    FILE *f = fopen(path, "rb");
    struct buf raw, text;
    bool ok = false;

    buf_init(&raw, MAIL_MAX);
    buf_init(&text, 2 * (size_t)MAIL_MAX);
    if (f && read_all(f, &raw)) {
        crypt_to_base64(buf_bytes(&raw), CRYPT_BASE64, &text);
        jw_object(w);
        jw_key_text(w, "filename", bytes_of(slash ? slash + 1 : path));
        jw_key_text(w, "content", text.n ? buf_bytes(&text) : BYTES(""));
        jw_object_end(w);
        ok = true;
    } else {
        fprintf(stderr, "error: cannot read %s\n", path);
    }
    if (f)
        fclose(f);
    buf_clear(&raw);
    buf_clear(&text);
    return ok;
}

static void write_list(struct jw *w, const struct command_line *l, const struct flag *f)
{
    bool any = false;

    for (size_t i = 0; i < l->n_values; i++)
        if (l->values[i].flag == f) {
            if (!any) {
                jw_key(w, f->field);
                jw_array(w);
            }
            any = true;
            jw_text(w, bytes_of(l->values[i].text));
        }
    if (any)
        jw_array_end(w);
}

/* From a file, or of name=value; NULL when there are none, or after a word to the user. */
static struct json_object *variables_of(const struct command_line *l, bool *ok)
{
    struct json_object *values = NULL;

    for (size_t i = 0; *ok && i < l->n_values; i++) {
        const struct flag_value *v = &l->values[i];
        struct json_object *more = NULL;

        if (v->flag->type != FLAG_NAMED && v->flag->type != FLAG_JSON)
            continue;
        *ok = command_flag_json(l, v, values, &more);
        json_object_put(values);
        values = *ok ? more : NULL;
    }
    return values;
}

static bool write_template(const struct command_line *l, struct jw *w)
{
    const char *name = command_value(l, "template"), *version = command_value(l, "template-version");
    bool ok = true;
    struct json_object *values = variables_of(l, &ok);
    int64_t number = 0;

    if (name) {
        jw_key(w, "template");
        jw_object(w);
        jw_key_text(w, strncmp(name, "tpl_", 4) == 0 ? "id" : "alias", bytes_of(name));
        if (version && bytes_to_int(bytes_of(version), &number))
            jw_key_int(w, "version", number);
        if (values) {
            jw_key(w, "variables");
            jw_tree(w, values);
        }
        jw_object_end(w);
    }
    json_object_put(values);
    return ok;
}

static bool write_request(const struct command_line *l, struct buf *out)
{
    const char *value;
    bool ok = true;
    struct jw w;

    jw_init(&w, out);
    jw_object(&w);
    for (const struct flag *f = send_flags; f->name; f++) {
        if (f->field && f->type == FLAG_TEXTS)
            write_list(&w, l, f);
        else if (f->field && (value = command_value(l, f->name)) != NULL && f->type == FLAG_SWITCH)
            jw_key_bool(&w, f->field, true);
        else if (f->field && (value = command_value(l, f->name)) != NULL)
            jw_key_text(&w, f->field, bytes_of(value));
    }
    ok = write_template(l, &w);
    if (command_switch(l, "attach")) {
        jw_key(&w, "attachments");
        jw_array(&w);
        for (size_t i = 0; ok && i < l->n_values; i++)
            if (strcmp(l->values[i].flag->name, "attach") == 0)
                ok = attach(&w, l->values[i].text);
        jw_array_end(&w);
    }
    jw_object_end(&w);
    if (out->overflowed)
        output_error(l, "that is too much for one mail");
    return ok && !out->overflowed;
}

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
static int preview(const struct command_line *l, struct bytes body)
{
    struct client_answer a;
    int result;

    client_call(l, &(struct client_request){ .method = "POST", .path = "/v1/previews", .body = body }, &a);
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

    if (command_switch(l, "dry-run") && !type)
        return preview(l, body);
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

    buf_init(&mail, MAIL_MAX);
    buf_init(&wire, 2 * (size_t)MAIL_MAX);
    if (!read_all(stdin, &mail)) {
        output_error(l, "the mail on standard input is over %u bytes", MAIL_MAX);
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
    result = post(l, path->p, buf_bytes(&wire), "message/rfc822");
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
    int result = EXIT_USAGE;

    if (!command_parse(argc, argv, tables, &l))
        return EXIT_USAGE;
    buf_init(&request, 2 * (size_t)MAIL_MAX);
    buf_init(&path, 65536);
    buf_adds(&path, "/v1/messages");
    if (command_switch(&l, "subject") || command_switch(&l, "text") || command_switch(&l, "html") ||
        command_switch(&l, "attach") || command_switch(&l, "template")) {
        if (write_request(&l, &request))
            result = post(&l, "/v1/messages", buf_bytes(&request), NULL);
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
