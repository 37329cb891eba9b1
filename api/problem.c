/* api/problem.c - error answers (RFC 9457), and the page for each code.
 *
 * One table makes both, so no code is without an explanation. What the client is told is what err_told lets out;
 * details of internal errors are in the log only, under the request's id. */
#include "api/request.h"

/* Every code with what it means: the titles of answers and the pages at /errors/{code}. */
static const struct code {
    const char *code;
    int status;
    const char *title, *cause, *mend;
} codes[] = {
    { "invalid_json", 400, "The body is not valid JSON",
      "The body could not be read as strict JSON: a syntax error, a doubled key, a number out of range, invalid UTF-8, "
      "or "
      "nothing at all.",
      "Send one JSON object, encoded in UTF-8, as a common JSON library writes it. `detail` names the place." },
    { "invalid_request", 400, "The request is malformed",
      "The HTTP request is ambiguous or malformed: two lengths, a doubled header, a blank before a colon, a broken "
      "percent "
      "escape.",
      "Use a common HTTP client, and look at proxies between it and the server." },
    { "unauthenticated", 401, "Who asks?",
      "There is no credential, or it is wrong, expired, or not allowed from this address.",
      "Send `Authorization: Bearer <API key>`. A user's own mail can be reached by HTTP Basic with address and "
      "password, over "
      "HTTPS or from the same machine." },
    { "insufficient_scope", 403, "This credential may not do that", "The key lacks the scope that the operation needs.",
      "Use a key with the scope that `detail` names, or add it to the key." },
    { "sender_not_allowed", 403, "This sender is not yours",
      "A key sends from addresses in its account's domains, a user from own addresses and those in `send_as`.",
      "Send from another address, or add the domain or the address." },
    { "domain_not_verified", 403, "The domain is not verified", "Mail leaves the machine only from verified domains.",
      "Verify the sender's domain." },
    { "mail_sealed", 403, "This mail is sealed", "The mail can only be opened with its user's password.",
      "Log in as the user." },
    { "not_found", 404, "There is no such thing",
      "The path or the object does not exist, or belongs to another account.",
      "Check the id, and which account the credential belongs to." },
    { "method_not_allowed", 405, "The path does not take this method", "The path exists, with other methods.",
      "The header `Allow` lists them." },
    { "request_timeout", 408, "The request came too slowly",
      "The request was not complete within `api.request_deadline`.", "Try again; if it is large, over a better line." },
    { "conflict", 409, "It clashes with what is there",
      "The name or address is taken, or something changed at the same time.",
      "Read the object again and decide anew." },
    { "in_use", 409, "It is still in use", "Something depends on the object.",
      "Remove that first; `detail` names it." },
    { "not_cancellable", 409, "Too late to cancel", "No delivery of the message is queued or deferred any more.",
      "Nothing to do." },
    { "in_flight", 409, "It is being delivered at this moment",
      "The delivery is in the hands of the sender, which cannot be called back.",
      "Wait until the attempt has ended: `status` is no longer `sending`." },
    { "idempotency_in_progress", 409, "The first request still runs",
      "A request with this Idempotency-Key is being worked on.", "Wait a moment and repeat the same request." },
    { "content_gone", 410, "The content is gone", "It was erased, by request or because of its age.",
      "The message itself, its deliveries and events can still be read." },
    { "state_too_old", 410, "What changed since then is no longer known",
      "Which messages left a mailbox is kept for `box.gone_keep` only, or the store was restored from a backup.",
      "List the mailbox anew, and go on from its `modseq`." },
    { "precondition_failed", 412, "It is another version by now",
      "`If-Match` names a version of the object that it no longer has: somebody changed it since.",
      "Read it again, with its new `ETag`, and decide anew." },
    { "too_large", 413, "Too large", "The body, or the mail built from it, is larger than allowed.",
      "Send less; the limits are the settings `api.request_max` and `message.size_max`." },
    { "unsupported_media_type", 415, "The body has another type than expected",
      "The Content-Type does not fit the operation.", "Send the type that `detail` names." },
    { "validation_error", 422, "The request breaks a rule", "One or more fields are wrong.",
      "`errors` lists every fault with the place it is in." },
    { "no_public_url", 422, "The server does not know its public address",
      "Links of ours in a mail (unsubscribing, tracking) need an address that readers reach.",
      "Have the operator set `server.public_url`, or send without them." },
    { "idempotency_mismatch", 422, "This Idempotency-Key belongs to another request",
      "The key was used with another body.", "Use a new key for a new request." },
    { "rate_limited", 429, "Too many", "A limit was passed.", "Wait as long as `Retry-After` says." },
    { "headers_too_large", 431, "The header is too large",
      "The request's header is larger than `api.head_max`, or has more lines than `api.fields_max`.",
      "Send fewer or shorter ones." },
    { "internal", 500, "Internal error", "A fault of the server's own.",
      "The server's log has more under the `request_id`. Please report it." },
    { "not_implemented", 501, "The server does not have that", "The body has a transfer coding other than chunked.",
      "Send it with Content-Length, or in chunks alone." },
    { "unavailable", 503, "Not available just now",
      "The server is starting, stopping or too busy, or its store is away.",
      "Try again as `Retry-After` says, with the same Idempotency-Key." },
    { "queue_full", 503, "Too much is waiting", "The queue has reached its limit.", "Try again later." },
    { "version_not_supported", 505, "Another version of HTTP", "The request is of another version than HTTP/1.",
      "Speak HTTP/1.1; a proxy in front may offer others." },
    { "storage_full", 507, "The disk is full", "The server has too little room left to take mail safely.",
      "Make room on the server's disk (`store.free_min`)." },
};
#define CODES (sizeof codes / sizeof *codes)

static const struct code *code_find(struct bytes code)
{
    for (size_t i = 0; i < CODES; i++)
        if (bytes_equal(code, bytes_of(codes[i].code)))
            return &codes[i];
    return NULL;
}

void problem_write(struct request *r)
{
    struct call *c = &r->call;
    const struct err_row *row = err_row(c->err.code);
    const char *name = r->malformed ? "invalid_request" : row->api;
    const struct code *code = code_find(bytes_of(name));
    struct jw w;

    if (!code)
        code = code_find(BYTES("internal"));
    buf_reset(&r->out);
    r->status = code->status;
    r->is_error = true;
    r->fixed = r->location = NO_BYTES;
    if (r->route && r->route->flags & ROUTE_PUBLIC) {
        public_problem(r, code->title, err_told(&c->err));
        return;
    }
    r->type = "application/problem+json";
    jw_init(&w, &r->out);
    jw_object(&w);
    jw_key_text(&w, "type", arena_bytesf(c->arena, "/errors/%s", code->code));
    jw_key_text(&w, "title", bytes_of(code->title));
    jw_key_int(&w, "status", r->status);
    jw_key_text(&w, "code", bytes_of(code->code));
    jw_key_text(&w, "detail", bytes_of(err_told(&c->err)));
    jw_key_id(&w, "request_id", "req", c->request);
    jw_key(&w, "errors");
    faults_show(&w, c->faults, c->n_faults);
    jw_object_end(&w);
}

bool problem_page(struct bytes name, struct buf *out)
{
    const struct code *code = code_find(name);

    if (!code)
        return false;
    buf_addf(out,
             "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>%s</title>"
             "<style>body{font:1em/1.5 sans-serif;max-width:40em;margin:3em auto;padding:0 1em}</style>"
             "<h1>%s</h1><p><code>%s</code>, status %d</p><h2>Cause</h2><p>%s</p><h2>What to do</h2><p>",
             code->code, code->title, code->code, code->status, code->cause);
    for (const char *p = code->mend; *p; p++) /* our own texts; one holds an example in angle brackets */
        if (*p == '<')
            buf_adds(out, "&lt;");
        else
            buf_addc(out, *p);
    buf_adds(out, "</p></html>\n");
    return true;
}

void problem_list(struct jw *w)
{
    for (size_t i = 0; i < CODES; i++) {
        jw_object(w);
        jw_key_text(w, "object", BYTES("error_code"));
        jw_key_text(w, "id", bytes_of(codes[i].code));
        jw_key_int(w, "status", codes[i].status);
        jw_key_text(w, "title", bytes_of(codes[i].title));
        jw_key_text(w, "cause", bytes_of(codes[i].cause));
        jw_key_text(w, "mend", bytes_of(codes[i].mend));
        jw_object_end(w);
    }
}
