/* mail/classify.c - refusals by rules.
 *
 * A rule file is read once into rows that borrow from an arena; asking walks them in order and stops at the first that
 * matches. The text is folded once (case, white space) and patterns when they are read, so that a pattern is a few
 * searches for its pieces. There is nothing to compile and nothing that could backtrack: servers choose the text, and
 * customers the rules. */
#include "mail/classify.h"
#include "base/json.h"
#include "mail/chars.h"
#include <json-c/linkhash.h>
#include <pthread.h>
#include <string.h>

#include "classify_rules.inc" /* made from classify_rules.json */

enum { PATTERNS_MAX = 200, RULE_VALUES = 16, RULES_MEMORY = 16 << 20, SEEN_BITS = 16384, GRAM = 3, UNTOLD = 6 };

/* Before a pattern is looked for, two marks tell whether it can be there: of any three bytes in a row the text has set
 * a bit, and few of some 700 patterns find those of their first and last three set. */
struct pattern {
    struct bytes text; /* folded */
    unsigned first, last;
    bool marked; /* long enough to have marks */
};

struct rule {
    const char *id;
    struct bytes provider, code, enhanced; /* NO_BYTES: any */
    struct pattern *patterns;
    size_t n_patterns;
    size_t phase; /* of phase_texts */
    enum why why;
    enum permanence permanence;
    bool says_permanence;
};

struct classifier {
    struct arena *arena;
    struct rule *rules;
    size_t n;
};

static const struct bytes why_texts[] = {
#define X(name, text) BYTES_ROW(text),
    WHY_LIST(X)
#undef X
};
static const struct bytes permanence_texts[] = { BYTES_ROW("undetermined"), BYTES_ROW("permanent"),
                                                 BYTES_ROW("temporary"), BYTES_ROW("block") };
static const struct bytes phase_texts[] = { BYTES_ROW("any"),   BYTES_ROW("connect"), BYTES_ROW("hello"),
                                            BYTES_ROW("mail"),  BYTES_ROW("rcpt"),    BYTES_ROW("data"),
                                            BYTES_ROW("untold") };
enum { PHASES = sizeof phase_texts / sizeof *phase_texts };

/* Its place; n: it is none of them. */
static size_t find_text(const struct bytes *texts, size_t n, struct bytes text)
{
    size_t i = 0;

    while (i < n && !bytes_equal(texts[i], text))
        i++;
    return i;
}

struct bytes why_text(enum why why)
{
    return why_texts[why];
}

bool why_of(struct bytes text, enum why *out)
{
    size_t i = find_text(why_texts, WHYS, text);

    if (i < WHYS)
        *out = (enum why)i;
    return i < WHYS;
}

struct bytes permanence_text(enum permanence p)
{
    return permanence_texts[p];
}

bool permanence_of(struct bytes text, enum permanence *out)
{
    size_t i = find_text(permanence_texts, PERMANENCES, text);

    if (i < PERMANENCES)
        *out = (enum permanence)i;
    return i < PERMANENCES;
}

bool meaning_suppresses(struct meaning m)
{
    return m.permanence == PERMANENCE_PERMANENT &&
           (m.why == WHY_UNKNOWN_USER || m.why == WHY_INACTIVE_USER || m.why == WHY_UNKNOWN_DOMAIN);
}

/* Lower case, a run of white space as one space. */
static void fold(struct bytes text, struct buf *out)
{
    bool blank = false;

    for (size_t i = 0; i < text.n; i++) {
        bool now = char_is_blank(text.p[i]);

        if (!now || !blank)
            buf_addc(out, now ? ' ' : char_lower(text.p[i]));
        blank = now;
    }
}

static bool wrong(const struct rule *r, size_t number, const char *what, struct bytes text, struct err *e)
{
    return err_set(e, ERR_INVALID, "rule %s (number %zu): %s \"%.*s\"", r->id ? r->id : "without id", number + 1, what,
                   SHOW(bytes_head(text, 60)));
}

/* Alternatives of digits, dots and, for the class of an enhanced code, x. */
static bool codes_ok(struct bytes text)
{
    for (size_t i = 0; i < text.n; i++)
        if (!char_is_digit(text.p[i]) && !char_in(text.p[i], BYTES(".x|")))
            return false;
    return text.n > 0;
}

static unsigned mark_of(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;

    return (u[0] * 2671U + u[1] * 211U + u[2] * 17U) % SEEN_BITS;
}

static void make_pattern(struct bytes text, struct arena *a, struct pattern *out)
{
    struct buf folded;
    struct bytes piece, rest;

    buf_init(&folded, text.n);
    fold(text, &folded);
    out->text = arena_copy(a, buf_bytes(&folded));
    buf_clear(&folded);
    bytes_cut(out->text, '*', &piece, &rest);
    out->marked = piece.n >= GRAM;
    if (out->marked) {
        out->first = mark_of(piece.p);
        out->last = mark_of(piece.p + piece.n - GRAM);
    }
}

static bool read_patterns(struct json_object *list, size_t number, struct arena *a, struct rule *r, struct err *e)
{
    struct bytes *texts = NULL;

    if (!json_object_is_type(list, json_type_array) || json_object_array_length(list) > PATTERNS_MAX)
        return wrong(r, number, "a list of at most 200 texts is wanted in", BYTES("match"), e);
    texts = json_texts(a, list, &r->n_patterns);
    r->patterns = arena_array(a, r->n_patterns + 1, sizeof *r->patterns);
    for (size_t i = 0; i < r->n_patterns; i++) {
        if (bytes_trim(texts[i]).n == 0 || texts[i].n > CLASSIFY_TEXT_MAX)
            return wrong(r, number, "no text to look for:", texts[i], e);
        make_pattern(texts[i], a, &r->patterns[i]);
    }
    return true;
}

static bool read_member(struct bytes name, struct json_object *value, size_t number, struct arena *a, struct rule *r,
                        struct err *e)
{
    struct bytes text = NO_BYTES;
    size_t at = 0;

    if (bytes_equal(name, BYTES("match")))
        return read_patterns(value, number, a, r, e);
    if (!json_object_is_type(value, json_type_string))
        return wrong(r, number, "unknown, or no text:", name, e);
    text = arena_copy(a, (struct bytes){ json_object_get_string(value), (size_t)json_object_get_string_len(value) });
    if (bytes_equal(name, BYTES("id")) && text.n && text.n <= 100 && !bytes_has_ctl_line(text))
        r->id = text.p;
    else if (bytes_equal(name, BYTES("provider")))
        r->provider = arena_lower(a, text);
    else if (bytes_equal(name, BYTES("code")) && codes_ok(text))
        r->code = text;
    else if (bytes_equal(name, BYTES("enhanced")) && codes_ok(text))
        r->enhanced = text;
    else if (bytes_equal(name, BYTES("phase")) && (at = find_text(phase_texts, PHASES, text)) < PHASES)
        r->phase = at;
    else if (bytes_equal(name, BYTES("cause")) && why_of(text, &r->why))
        at = 0; /* nothing more to do */
    else if (bytes_equal(name, BYTES("permanence")) && permanence_of(text, &r->permanence))
        r->says_permanence = true;
    else
        return wrong(r, number, "not understood:", name, e);
    return true;
}

static bool read_rule(struct json_object *o, size_t number, struct arena *a, struct rule *r, struct err *e)
{
    if (!json_object_is_type(o, json_type_object))
        return wrong(r, number, "an object is wanted, not", NO_BYTES, e);
    json_object_object_foreach(o, name, value)
    {
        if (!read_member(bytes_of(name), value, number, a, r, e))
            return false;
    }
    if (!r->id || !json_member(o, "cause"))
        return wrong(r, number, "must have", BYTES("id, cause"), e);
    return true;
}

static bool id_is_new(const struct rule *rules, size_t n)
{
    for (size_t i = 0; i + 1 < n; i++)
        if (strcmp(rules[i].id, rules[n - 1].id) == 0)
            return false;
    return true;
}

/* Appends the rules of one file, those of a provider first. */
static bool read_rules(struct classifier *c, struct json_object *list, size_t *faulty, struct err *e)
{
    size_t n = json_object_array_length(list), first = c->n, done = 0;
    struct rule *rows = arena_array(c->arena, n ? n : 1, sizeof *rows);

    for (size_t i = 0; i < n; i++) {
        *faulty = i + 1;
        if (!read_rule(json_object_array_get_idx(list, i), i, c->arena, &rows[i], e))
            return false;
        if (!id_is_new(rows, i + 1))
            return wrong(&rows[i], i, "is there twice", NO_BYTES, e);
    }
    *faulty = 0;
    for (int general = 0; general <= 1; general++)
        for (size_t i = 0; i < n; i++)
            if ((rows[i].provider.n == 0) == general)
                c->rules[first + done++] = rows[i];
    c->n = first + n;
    return true;
}

static bool rules_of(struct bytes json, struct json_object **tree, struct json_object **list, struct err *e)
{
    if (!json_read_most(json, (size_t)CLASSIFY_RULES_MAX * RULE_VALUES, tree, e))
        return false;
    *list = json_object_is_type(*tree, json_type_object) && json_object_object_length(*tree) == 1
                ? json_member(*tree, "rules")
                : NULL;
    if (!json_object_is_type(*list, json_type_array) || json_object_array_length(*list) > CLASSIFY_RULES_MAX)
        return err_set(e, ERR_INVALID, "One member \"rules\", a list of at most %d, is wanted", CLASSIFY_RULES_MAX);
    return true;
}

bool classifier_read(struct bytes own, struct classifier **out, size_t *faulty, struct err *e)
{
    struct bytes files[] = { own, { classify_rules, sizeof classify_rules } };
    struct json_object *trees[] = { NULL, NULL }, *lists[] = { NULL, NULL };
    struct classifier *c = calloc(1, sizeof *c);
    size_t room = 1;
    bool ok = true;

    if (!c)
        die("out of memory");
    *faulty = 0;
    c->arena = arena_new(RULES_MEMORY);
    for (int i = 0; i < 2 && ok; i++)
        if (files[i].n) {
            ok = rules_of(files[i], &trees[i], &lists[i], e);
            room += ok ? json_object_array_length(lists[i]) : 0;
        }
    c->rules = arena_array(c->arena, room, sizeof *c->rules);
    for (int i = 0; i < 2 && ok; i++)
        ok = !lists[i] || read_rules(c, lists[i], faulty, e);
    ok = ok && arena_check(c->arena, e);
    for (int i = 0; i < 2; i++)
        json_object_put(trees[i]);
    if (ok)
        *out = c;
    else
        classifier_free(&c);
    return ok;
}

bool classifier_new(struct bytes own, struct classifier **out, struct err *e)
{
    size_t ignored;

    return classifier_read(own, out, &ignored, e);
}

void classifier_free(struct classifier **c)
{
    if (!*c)
        return;
    arena_free(&(*c)->arena);
    free(*c);
    *c = NULL;
}

static struct classifier *without_own;

static void make_shipped(void)
{
    struct err e = { 0 };

    if (!classifier_new(NO_BYTES, &without_own, &e))
        die("the rules that are built in: %s", e.message);
}

const struct classifier *classifier_shipped(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_shipped);
    return without_own;
}

/* "x" stands for the class digit. A beginning ends where the code does or, when `dots`, before a dot. */
static bool begins(struct bytes code, struct bytes start, bool dots)
{
    if (start.n > code.n)
        return false;
    for (size_t i = 0; i < start.n; i++)
        if (start.p[i] != code.p[i] && !(start.p[i] == 'x' && char_is_digit(code.p[i])))
            return false;
    return !dots || start.n == code.n || code.p[start.n] == '.';
}

static bool one_begins(struct bytes code, struct bytes alternatives, bool dots)
{
    struct bytes start;

    while (alternatives.n) {
        bytes_cut(alternatives, '|', &start, &alternatives);
        if (start.n && begins(code, start, dots))
            return true;
    }
    return false;
}

static bool contains(struct bytes text, struct bytes pattern)
{
    struct bytes piece;

    while (pattern.n) {
        const char *at = NULL;

        bytes_cut(pattern, '*', &piece, &pattern);
        if (piece.n == 0)
            continue;
        at = text.n ? memmem(text.p, text.n, piece.p, piece.n) : NULL;
        if (!at)
            return false;
        text = bytes_from(text, (size_t)(at - text.p) + piece.n);
    }
    return true;
}

struct folded {
    struct buf text;
    uint64_t seen[SEEN_BITS / 64];
};

static bool seen(const struct folded *f, unsigned mark)
{
    return f->seen[mark / 64] >> mark % 64 & 1;
}

static void fold_marked(struct bytes text, struct folded *out)
{
    buf_init(&out->text, CLASSIFY_TEXT_MAX);
    fold(bytes_head(text, CLASSIFY_TEXT_MAX), &out->text);
    memset(out->seen, 0, sizeof out->seen);
    for (size_t i = 0; i + GRAM <= out->text.n; i++) {
        unsigned mark = mark_of(out->text.p + i);

        out->seen[mark / 64] |= (uint64_t)1 << mark % 64;
    }
}

static bool one_is_in(const struct folded *f, const struct rule *r)
{
    for (size_t i = 0; i < r->n_patterns; i++) {
        const struct pattern *p = &r->patterns[i];

        if ((!p->marked || (seen(f, p->first) && seen(f, p->last))) && contains(buf_bytes(&f->text), p->text))
            return true;
    }
    return r->n_patterns == 0;
}

static bool phase_fits(size_t phase, enum refused_at at)
{
    return phase == 0 || (phase == UNTOLD ? at == REFUSED_ANYWHERE : phase == (size_t)at);
}

static enum permanence by_digit(char digit)
{
    return digit == '5' ? PERMANENCE_PERMANENT : digit == '4' ? PERMANENCE_TEMPORARY : PERMANENCE_UNDETERMINED;
}

struct meaning classify(const struct classifier *c, const struct refusal *r)
{
    char digits[16];
    int n = r->code >= 100 && r->code <= 999 ? snprintf(digits, sizeof digits, "%d", r->code) : 0;
    struct bytes code = n ? (struct bytes){ digits, (size_t)n } : bytes_head(r->enhanced, 1);
    enum permanence plain = by_digit(code.n ? code.p[0] : 0);
    struct meaning out = { WHY_UNDETERMINED, plain, "code" };
    struct folded text;

    fold_marked(r->text, &text);
    for (size_t i = 0; i < c->n; i++) {
        const struct rule *t = &c->rules[i];

        if ((t->provider.n && !bytes_equal_nocase(t->provider, r->provider)) || !phase_fits(t->phase, r->at) ||
            (t->code.n && !one_begins(code, t->code, false)) ||
            (t->enhanced.n && !one_begins(r->enhanced, t->enhanced, true)) || !one_is_in(&text, t))
            continue;
        out = (struct meaning){ t->why, t->says_permanence ? t->permanence : plain, t->id };
        break;
    }
    buf_clear(&text.text);
    return out;
}
