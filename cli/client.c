/* cli/client.c - one request by libcurl, as the API's other clients make it.
 *
 * The nearer word wins: a flag over the environment over the profile over the socket of the data folder. A value that
 * would be cut or become two header lines is not sent at all. The exit code tells scripts whether to try again. */
#include "cli/client.h"
#include "base/json.h"
#include <curl/curl.h>
#include <json-c/json.h>
#include <unistd.h>

#define ANSWER_MAX (64u * 1024 * 1024)
/* Longest URL, and longest value of a header. */
#define URL_MOST   8191
#define VALUE_MOST 1000

struct target {
    const char *url, *key;
    char socket[512];
    struct json_object *profiles;
};

static const char *first(const char *a, const char *b)
{
    return a && *a ? a : b && *b ? b : NULL;
}

const char *client_data_dir(const struct command_line *l)
{
    const char *dir = first(command_value(l, "data"), getenv("POSTRIDER_DATA"));

    if (dir)
        return dir;
    return access("data/postrider.sock", F_OK) == 0 || access("/var/lib/postrider", F_OK) != 0 ? "data"
                                                                                               : "/var/lib/postrider";
}

/* {"name": {"url": …, "key": …}}; the profile "default" is taken when it is there and nothing else is named. */
static bool read_profile(const struct command_line *l, struct target *t, char *error, size_t size)
{
    const char *name = first(command_value(l, "profile"), getenv("POSTRIDER_PROFILE")), *home = getenv("HOME");
    struct json_object *profile;
    char path[512];

    snprintf(path, sizeof path, "%s/.config/postrider/profiles.json", home ? home : "");
    t->profiles = json_object_from_file(path);
    if (!t->profiles && access(path, F_OK) == 0) {
        snprintf(error, size, "%s cannot be read, or is no JSON", path);
        return false;
    }
    if (t->profiles && json_object_object_get_ex(t->profiles, name ? name : "default", &profile)) {
        t->url = first(t->url, json_object_get_string(json_member(profile, "url")));
        t->key = first(t->key, json_object_get_string(json_member(profile, "key")));
        return true;
    }
    if (!name)
        return true;
    snprintf(error, size, "no profile \"%s\" in %s", name, path);
    return false;
}

static bool find_target(const struct command_line *l, struct target *t, char *error, size_t size)
{
    t->url = first(command_value(l, "url"), getenv("POSTRIDER_URL"));
    t->key = first(command_value(l, "key"), getenv("POSTRIDER_KEY"));
    if (command_value(l, "data") && !command_value(l, "url"))
        t->url = NULL; /* the nearer flag wins over the environment */
    else if (!read_profile(l, t, error, size))
        return false;
    if (!t->url)
        snprintf(t->socket, sizeof t->socket, "%s/postrider.sock", client_data_dir(l));
    return true;
}

static bool fits(const char *value, const char *name, struct client_answer *out)
{
    if (!value || (strlen(value) <= VALUE_MOST && !strpbrk(value, "\r\n")))
        return true;
    snprintf(out->error, sizeof out->error, "the %s is more than a line of %d bytes", name, VALUE_MOST);
    return false;
}

/* What would be sent cut short, or as two lines, is not sent. */
static bool can_send(const struct command_line *l, const struct client_request *r, const struct target *t,
                     struct client_answer *out)
{
    if (strlen(t->url ? t->url : "") + strlen(r->path) + strlen("http://localhost") > URL_MOST ||
        strlen(t->socket) == sizeof t->socket - 1) {
        snprintf(out->error, sizeof out->error, "the name of the server, with the path, is too long");
        return false;
    }
    return fits(t->key, "key", out) && fits(command_value(l, "account"), "account", out);
}

struct receiving {
    CURL *curl;
    FILE *to;
    struct buf *body;
};

static size_t collect(char *p, size_t size, size_t n, void *ctx)
{
    struct receiving *r = ctx;
    long status = 0;

    if (r->to && curl_easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && status / 100 == 2)
        return fwrite(p, 1, size * n, r->to);
    buf_add(r->body, (struct bytes){ p, size * n });
    return r->body->overflowed ? 0 : size * n;
}

static size_t supply(char *p, size_t size, size_t n, void *ctx)
{
    size_t got = fread(p, 1, size * n, ctx);

    return got || !ferror((FILE *)ctx) ? got : CURL_READFUNC_ABORT;
}

static struct curl_slist *headers(const struct command_line *l, const struct client_request *r, const struct target *t)
{
    struct curl_slist *list = NULL;
    const char *account = command_value(l, "account");
    char line[VALUE_MOST + 64];

    snprintf(line, sizeof line, "Content-Type: %s", r->content_type ? r->content_type : "application/json");
    list = curl_slist_append(list, line);
    /* No waiting for "100 Continue" before a large body. */
    list = curl_slist_append(list, "Expect:");
    if (r->accept) {
        snprintf(line, sizeof line, "Accept: %s", r->accept);
        list = curl_slist_append(list, line);
    }
    if (r->idempotency_key) {
        snprintf(line, sizeof line, "Idempotency-Key: %s", r->idempotency_key);
        list = curl_slist_append(list, line);
    }
    if (t->key) {
        snprintf(line, sizeof line, "Authorization: Bearer %s", t->key);
        list = curl_slist_append(list, line);
    }
    if (account) {
        snprintf(line, sizeof line, "Postrider-Account: %s", account);
        list = curl_slist_append(list, line);
    }
    return list;
}

static void explain(CURLcode code, const struct target *t, struct client_answer *out)
{
    if (t->socket[0] && access(t->socket, F_OK) != 0)
        snprintf(out->error, sizeof out->error,
                 "no server here: %s is not there. Start one with `postrider serve`, or name one with --url and --key",
                 t->socket);
    else if (t->socket[0])
        snprintf(out->error, sizeof out->error, "no answer from the server at %s: %s", t->socket,
                 curl_easy_strerror(code));
    else
        snprintf(out->error, sizeof out->error, "no answer from %s: %s", t->url, curl_easy_strerror(code));
    out->timed_out = code == CURLE_OPERATION_TIMEDOUT;
}

static void perform(CURL *curl, const struct command_line *l, const struct client_request *r, const struct target *t,
                    struct client_answer *out)
{
    const char *seconds = command_value(l, "timeout");
    struct receiving receiving = { .curl = curl, .to = r->to, .body = &out->body };
    struct curl_slist *list = headers(l, r, t);
    int64_t timeout = 60;
    char url[URL_MOST + 1];
    CURLcode code;
    struct err ignored = { 0 };

    if (seconds)
        bytes_to_int(bytes_of(seconds), &timeout);
    snprintf(url, sizeof url, "%s%s", t->url ? t->url : "http://localhost", r->path);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    if (t->socket[0])
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, t->socket);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, r->method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    if (r->body.p) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, r->body.p);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.n);
    }
    if (r->from) { /* of unknown length: in chunks */
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, supply);
        curl_easy_setopt(curl, CURLOPT_READDATA, r->from);
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, r->method);
    }
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &receiving);
    if (r->from || r->to) { /* it takes as long as it takes, but not in silence */
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)timeout);
    } else {
        curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)timeout);
    }
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    code = curl_easy_perform(curl);
    if (code == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &out->status);
    else
        explain(code, t, out);
    if (out->body.n && !json_read(buf_bytes(&out->body), &out->json, &ignored))
        out->json = NULL;
    curl_slist_free_all(list);
}

void client_call(const struct command_line *l, const struct client_request *r, struct client_answer *out)
{
    struct target t = { 0 };
    CURL *curl;

    memset(out, 0, sizeof *out);
    buf_init(&out->body, ANSWER_MAX);
    out->unsent = !find_target(l, &t, out->error, sizeof out->error) || !can_send(l, r, &t, out);
    if (out->unsent)
        goto out;
    curl = curl_easy_init();
    if (!curl)
        die("out of memory");
    perform(curl, l, r, &t, out);
    curl_easy_cleanup(curl);
out:
    json_object_put(t.profiles);
}

void client_answer_clear(struct client_answer *a)
{
    json_object_put(a->json);
    a->json = NULL;
    buf_clear(&a->body);
}

static void print_problem(const struct client_answer *a)
{
    struct json_object *errors = json_member(a->json, "errors");
    struct bytes detail = json_text(a->json, "detail"), title = json_text(a->json, "title");

    fprintf(stderr, "error: %.*s\n", SHOW(detail.p ? detail : title));
    for (size_t i = 0; errors && i < json_object_array_length(errors); i++) {
        struct json_object *one = json_object_array_get_idx(errors, i);

        fprintf(stderr, "  %.*s: %.*s\n", SHOW(json_text(one, "pointer")), SHOW(json_text(one, "message")));
    }
    fprintf(stderr, "  (%.*s, request %.*s)\n", SHOW(json_text(a->json, "code")),
            SHOW(json_text(a->json, "request_id")));
}

int client_result(const struct command_line *l, const struct client_answer *a)
{
    if (a->status >= 200 && a->status < 300)
        return EXIT_FINE;
    if (!a->status) {
        output_error(l, "%s", a->error);
        return a->unsent ? EXIT_USAGE : a->timed_out ? EXIT_TIMEOUT : EXIT_UNREACHABLE;
    }
    if (output_json(l) || !a->json)
        fprintf(stderr, "%.*s\n", SHOW(buf_bytes(&a->body)));
    else
        print_problem(a);
    if (a->status == 401 || a->status == 403)
        return EXIT_AUTH;
    return a->status == 503 ? EXIT_UNREACHABLE : EXIT_FAILED;
}

void client_escape(struct buf *out, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || strchr("-._~@", *p))
            buf_addc(out, (char)*p);
        else
            buf_addf(out, "%%%02X", *p);
}
