/* cli/batch.c - batch send: a mail for each row of a CSV file, in batches (POST /v1/batches).
 *
 * The file is read twice: once to know how many rows there are and what it is, once to send it. Each batch has an
 * Idempotency-Key that is made of all that it depends on and its place in the file. So the same command after whatever
 * cut it off sends what is missing and nothing twice, and nothing is written down here. What the server cannot take at
 * the moment is tried again for a while. A person sees one line that moves; a program reads a line of JSON for each
 * batch and each row that was refused. */
#include "base/clock.h"
#include "base/crypt.h"
#include "base/csv.h"
#include "base/json.h"
#include "cli/client.h"
#include <json-c/json.h>
#include <unistd.h>

#define ROW_MAX     ((size_t)1024 * 1024)
#define REQUEST_MAX ((size_t)48 * 1024 * 1024) /* below batch.request_max */
#define SIZE_MOST   1000
#define TRIES       6
#define BAR         30

const struct flag batch_send_flags[] = {
    { "csv", FLAG_TEXT, NULL, false, "file with a row for each mail; its first row names the columns" },
    { "from", FLAG_TEXT, "from", false, "sender: a@b or \"Name <a@b>\"" },
    { "template", FLAG_TEXT, NULL, false, "id or alias of a template; each column is a variable" },
    { "subject", FLAG_TEXT, "subject", false, "" },
    { "text", FLAG_TEXT, "text", false, "plain text" },
    { "html", FLAG_TEXT, "html", false, "HTML" },
    { "at", FLAG_TEXT, "scheduled_at", false, "when it begins (RFC 3339 time)" },
    { "size", FLAG_NUMBER, NULL, false, "mails of one batch, 1-1000 (standard)" },
    { "run", FLAG_TEXT, NULL, false, "a name: the same file under another name is sent once more" },
    { NULL, FLAG_TEXT, NULL, false, NULL },
};

struct mailing {
    const struct command_line *line;
    const char *file;
    size_t size;
    bool templated;
    struct json_object *defaults;
    char columns[CSV_CELLS][64];
    size_t n_columns;
    uint8_t hash[CRYPT_HASH];
    /* how far it is */
    int64_t total, done, accepted, rejected;
    int64_t began;
    size_t batches; /* that were sent */
    /* of the batch at hand */
    struct json_object *messages;
    int64_t rows[SIZE_MOST];
    size_t n, bytes;
    int result;
};

/* ---- what is told ---- */

static void show_progress(const struct mailing *m, bool over)
{
    int64_t ms = clock_monotonic() - m->began, rate = ms > 0 ? m->done * 1000 / ms : 0;
    int64_t left = rate ? (m->total - m->done) / rate : 0;
    int full = m->total ? (int)(m->done * BAR / m->total) : BAR;

    if (output_json(m->line))
        return;
    fprintf(stderr, "\r[%.*s%*s] %lld/%lld  %lld/s  ETA %lld:%02lld", full, "##############################",
            BAR - full, "", (long long)m->done, (long long)m->total, (long long)rate, (long long)(left / 60),
            (long long)(left % 60));
    if (m->rejected)
        fprintf(stderr, "  %lld rejected", (long long)m->rejected);
    fputs(over ? "\n" : " ", stderr);
    fflush(stderr);
}

/* A row that is not sent: for programs on standard output, for people above the line that moves. */
static void tell_row(struct mailing *m, int64_t row, struct bytes code, struct bytes detail)
{
    struct buf json;
    struct jw w;

    m->rejected++;
    if (!output_json(m->line)) {
        fprintf(stderr, "\r\033[Krow %lld: %.*s\n", (long long)row, SHOW(detail));
        return;
    }
    buf_init(&json, 65536);
    jw_init(&w, &json);
    jw_object(&w);
    jw_key_int(&w, "row", row);
    jw_key_text(&w, "code", code);
    jw_key_text(&w, "detail", detail);
    jw_object_end(&w);
    printf("%.*s\n", SHOW(buf_bytes(&json)));
    buf_clear(&json);
}

static void tell_batch(const struct mailing *m, struct json_object *answer, bool last)
{
    struct buf json;
    struct jw w;

    if (!output_json(m->line))
        return;
    buf_init(&json, 4096);
    jw_init(&w, &json);
    jw_object(&w);
    if (answer)
        jw_key_text(&w, "batch", json_text(answer, "id"));
    jw_key_int(&w, "total", m->total);
    jw_key_int(&w, "done", m->done);
    jw_key_int(&w, "accepted", m->accepted);
    jw_key_int(&w, "rejected", m->rejected);
    if (last)
        jw_key_bool(&w, "complete", m->done == m->total);
    jw_object_end(&w);
    printf("%.*s\n", SHOW(buf_bytes(&json)));
    fflush(stdout);
    buf_clear(&json);
}

/* ---- a batch ---- */

static void take_item(struct mailing *m, struct json_object *item)
{
    int64_t index = json_object_get_int64(json_member(item, "index"));
    struct json_object *error = json_member(item, "error"), *first;
    struct bytes detail = json_text(error, "detail");

    if (!error) {
        m->accepted++;
        return;
    }
    first = json_object_array_get_idx(json_member(error, "errors"), 0);
    if (first && json_text(first, "message").n)
        detail = json_text(first, "message");
    tell_row(m, m->rows[index], json_text(error, "code"), detail);
}

static void take_answer(struct mailing *m, struct json_object *answer)
{
    struct json_object *data = json_member(answer, "data");
    size_t n = data ? json_object_array_length(data) : 0;

    for (size_t i = 0; i < n && i < m->n; i++)
        take_item(m, json_object_array_get_idx(data, i));
    m->done += (int64_t)m->n;
    tell_batch(m, answer, false);
    show_progress(m, false);
}

static void key_of(const struct mailing *m, char *out, size_t size)
{
    char hex[CRYPT_HASH_HEX + 1];

    snprintf(out, size, "csv-%.*s-%zu", 32, crypt_hex((struct bytes){ (const char *)m->hash, sizeof m->hash }, hex).p,
             m->batches);
}

/* Another time may be better: nobody is there, too much at once, or a request before this one still runs. */
static bool may_pass(const struct client_answer *a)
{
    return !a->unsent && (a->status == 0 || a->status == 503 || a->status == 429 || a->status == 409);
}

static bool post(struct mailing *m, struct bytes body)
{
    char key[96];
    bool ok = false;

    key_of(m, key, sizeof key);
    for (int i = 0; i < TRIES && !ok; i++) {
        struct client_answer a;

        client_call(
            m->line,
            &(struct client_request){ .method = "POST", .path = "/v1/batches", .body = body, .idempotency_key = key },
            &a);
        ok = a.status == 202;
        if (ok)
            take_answer(m, a.json);
        else if (i + 1 == TRIES || !may_pass(&a)) {
            m->result = client_result(m->line, &a);
            i = TRIES;
        } else {
            sleep(1u << i);
        }
        client_answer_clear(&a);
    }
    return ok;
}

static bool send_batch(struct mailing *m)
{
    struct json_object *body;
    bool ok;

    if (!m->n)
        return true;
    body = json_object_new_object();
    json_object_object_add(body, "mode", json_object_new_string("permissive"));
    json_object_object_add(body, "defaults", json_object_get(m->defaults));
    json_object_object_add(body, "messages", m->messages);
    ok = post(m,
              bytes_of(json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)));
    json_object_put(body);
    m->messages = json_object_new_array();
    m->batches++;
    m->n = m->bytes = 0;
    return ok;
}

/* ---- a row ---- */

static struct json_object *text_of(struct bytes text)
{
    return json_object_new_string_len(text.p ? text.p : "", (int)text.n);
}

static bool is_one_of(const char *name, const char *const *names)
{
    while (*names && strcmp(name, *names) != 0)
        names++;
    return *names != NULL;
}

/* With a template each column is a variable, else a field of the mail, or metadata. */
static void add_cell(const struct mailing *m, struct json_object *message, struct json_object *variables,
                     struct json_object *metadata, size_t i, struct bytes cell)
{
    static const char *const people[] = { "to", "email", "name", NULL }, *const fields[] = { "subject", "text", "html",
                                                                                             NULL };
    const char *name = m->columns[i];

    if (m->templated)
        json_object_object_add(variables, name, text_of(cell));
    else if (is_one_of(name, fields))
        json_object_object_add(message, name, text_of(cell));
    else if (!is_one_of(name, people))
        json_object_object_add(metadata, name, text_of(cell));
}

static struct json_object *recipient(struct bytes email, struct bytes name)
{
    struct json_object *to;

    if (!name.n)
        return text_of(email);
    to = json_object_new_object();
    json_object_object_add(to, "email", text_of(email));
    json_object_object_add(to, "name", text_of(name));
    return to;
}

static struct json_object *message_of(const struct mailing *m, const struct csv *c)
{
    struct json_object *message = json_object_new_object(), *variables = json_object_new_object(),
                       *metadata = json_object_new_object(), *template = json_object_new_object();
    struct bytes email = NO_BYTES, name = NO_BYTES;

    for (size_t i = 0; i < m->n_columns; i++) {
        struct bytes cell = csv_plain(csv_cell(c, i));

        if (strcmp(m->columns[i], "to") == 0 || strcmp(m->columns[i], "email") == 0)
            email = bytes_trim(cell);
        if (strcmp(m->columns[i], "name") == 0)
            name = cell;
        add_cell(m, message, variables, metadata, i, cell);
    }
    json_object_object_add(message, "to", recipient(email, name));
    if (m->templated) {
        json_object_object_add(template, "variables", json_object_get(variables));
        json_object_object_add(message, "template", json_object_get(template));
    }
    if (json_object_object_length(metadata))
        json_object_object_add(message, "metadata", json_object_get(metadata));
    json_object_put(variables);
    json_object_put(metadata);
    json_object_put(template);
    return message;
}

static bool take_row(struct mailing *m, const struct csv *c)
{
    if (c->fault) {
        tell_row(m, c->row, BYTES("invalid_row"), bytes_of(csv_fault_text(c->fault)));
        m->done++;
        return true;
    }
    if (!c->n)
        return true;
    json_object_array_add(m->messages, message_of(m, c));
    m->rows[m->n++] = c->row;
    for (size_t i = 0; i < c->n; i++)
        m->bytes += 2 * csv_cell(c, i).n + 64;
    return (m->n < m->size && m->bytes < REQUEST_MAX) || send_batch(m);
}

/* ---- the file ---- */

static bool take_columns(struct mailing *m, const struct csv *c)
{
    bool address = false;

    for (size_t i = 0; i < c->n && i < CSV_CELLS; i++) {
        struct bytes cell = bytes_trim(csv_cell(c, i));

        snprintf(m->columns[i], sizeof m->columns[i], "%.*s", SHOW(cell));
        address = address || strcmp(m->columns[i], "to") == 0 || strcmp(m->columns[i], "email") == 0;
        m->n_columns++;
    }
    if (!address)
        output_error(m->line, "%s: the first row names no column \"email\" or \"to\"", m->file);
    return address;
}

/* Each record behind the first goes to `take`, NULL: it is only counted. */
static bool read_rows(struct mailing *m, FILE *f, bool (*take)(struct mailing *m, const struct csv *c))
{
    static char block[65536];
    size_t n = fread(block, 1, sizeof block, f);
    struct csv c;
    bool ok = true;

    csv_init(&c, csv_separator((struct bytes){ block, n }), ROW_MAX);
    for (bool end = false; ok && !end; n = end ? 0 : fread(block, 1, sizeof block, f)) {
        struct bytes in = { block, n };
        enum csv_result r;
        size_t used;

        end = n == 0;
        while (ok && (r = end ? csv_end(&c) : csv_next(&c, in, &used)) == CSV_RECORD) {
            bool first = c.row == 1;

            if (!take)
                m->total += !first && (c.n || c.fault);
            else
                ok = first || take(m, &c);
            if (!take && first)
                ok = take_columns(m, &c);
            if (!end)
                in = bytes_from(in, used);
        }
    }
    csv_clear(&c);
    return ok && !ferror(f);
}

/* What it is: everything that the batches are made of. */
static bool look(struct mailing *m, FILE *f)
{
    const char *run = command_value(m->line, "run");
    static char block[65536];
    struct buf all;
    size_t n;
    bool ok;

    buf_init(&all, (size_t)1024 * 1024);
    while ((n = fread(block, 1, sizeof block, f)) > 0) {
        uint8_t piece[CRYPT_HASH];

        crypt_hash((struct bytes){ block, n }, piece);
        buf_add(&all, (struct bytes){ (const char *)piece, sizeof piece });
    }
    buf_addf(&all, "%s\n%zu\n%s", json_object_to_json_string(m->defaults), m->size, run ? run : "");
    ok = !all.overflowed && !ferror(f);
    crypt_hash(buf_bytes(&all), m->hash);
    buf_clear(&all);
    if (!ok)
        output_error(m->line, "%s cannot be read, or is too large", m->file);
    return ok && fseek(f, 0, SEEK_SET) == 0 && read_rows(m, f, NULL) && fseek(f, 0, SEEK_SET) == 0;
}

static struct json_object *defaults_of(const struct command_line *l)
{
    struct json_object *out = json_object_new_object(), *template;
    const char *value;

    for (const struct flag *f = batch_send_flags; f->name; f++)
        if (f->field && (value = command_value(l, f->name)) != NULL)
            json_object_object_add(out, f->field, json_object_new_string(value));
    value = command_value(l, "template");
    if (value) {
        template = json_object_new_object();
        json_object_object_add(template, strncmp(value, "tpl_", 4) == 0 ? "id" : "alias",
                               json_object_new_string(value));
        json_object_object_add(out, "template", template);
    }
    return out;
}

static int send_file(struct mailing *m, FILE *f)
{
    bool ok = look(m, f);

    m->began = clock_monotonic();
    ok = ok && read_rows(m, f, take_row) && send_batch(m);
    if (!ok)
        return m->result ? m->result : EXIT_USAGE;
    show_progress(m, true);
    tell_batch(m, NULL, true);
    return m->rejected ? EXIT_PARTIAL : EXIT_FINE;
}

static int batch_send(const struct command_line *l)
{
    const char *size = command_value(l, "size");
    struct mailing m = { .line = l, .file = command_value(l, "csv"), .templated = command_switch(l, "template") };
    int64_t n = SIZE_MOST;
    FILE *f = m.file ? fopen(m.file, "rb") : NULL;
    int result;

    if (size)
        bytes_to_int(bytes_of(size), &n);
    if (!f || n < 1 || n > SIZE_MOST) {
        if (f)
            fclose(f);
        output_error(l, f ? "--size is 1 to 1000" : "cannot read the file of --csv");
        return EXIT_USAGE;
    }
    m.size = (size_t)n;
    m.defaults = defaults_of(l);
    m.messages = json_object_new_array();
    result = send_file(&m, f);
    json_object_put(m.defaults);
    json_object_put(m.messages);
    fclose(f);
    return result;
}

int batch_main(int argc, char **argv)
{
    const struct flag *tables[] = { client_flags, batch_send_flags, NULL };
    struct command_line l;

    if (argc < 2 || strcmp(argv[1], "send") != 0)
        return resource_main(argc, argv);
    if (!command_parse(argc, argv, tables, &l))
        return EXIT_USAGE;
    return batch_send(&l);
}
