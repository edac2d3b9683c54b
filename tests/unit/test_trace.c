/* SPDX-License-Identifier: MIT */
/* The pure parts of probe-trace: what is asked when, what flows are wanted, what is said of answers and of rounds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suites.h"
#include "support.h"
#include "tools/trace_mda.h"
#include "tools/trace_plan.h"
#include "tools/trace_rounds.h"
#include "tools/trace_words.h"

#define TARGET "192.0.2.99"

/* ---- a played network: the target is at `length`, answers take a millisecond */

struct network {
    struct path path;
    int length;       /* 0: no target */
    uint32_t silent;  /* a bit for each ttl */
    int sent, most_sent; /* questions in all, and of one ttl in the first second */
    int at[33];
    int64_t now;
    struct question asked[400]; /* and not answered yet */
    int asked_count;
};

static struct network
network(int length, int queries, int flows)
{
    struct network made = { .path = { .first = 1, .last = 30, .queries = queries, .flow_count = flows, .ahead = 3,
                                      .timeout = 4 * NS_PER_S, .address = TARGET },
                            .length = length, .now = NS_PER_S };
    path_begin(&made.path);
    return made;
}

static void
answer(struct network *net, const struct question *question, const char *words)
{
    char line[200];
    struct reply reply;
    snprintf(line, sizeof line, "1 %s", words);
    ck_assert(reply_read(line, &reply));
    path_heard(&net->path, question->ttl, question->flow, question->query, &reply);
}

static void
send_question(void *owner, const struct question *question)
{
    struct network *net = owner;
    net->sent++;
    if (net->now < 2 * NS_PER_S && ++net->at[question->ttl] > net->most_sent)
        net->most_sent = net->at[question->ttl];
    ck_assert_int_lt(net->asked_count, (int)COUNT(net->asked));
    net->asked[net->asked_count++] = *question;
}

/* A millisecond passes; what was asked is answered. */
static void
pass_time(struct network *net)
{
    char words[200];
    net->now += NS_PER_MS;
    for (int i = 0; i < net->asked_count; i++) {
        const struct question *question = &net->asked[i];
        if (net->silent >> question->ttl & 1 || (!net->length && question->ttl > 4))
            continue;
        if (net->length && question->ttl >= net->length)
            snprintf(words, sizeof words, "reply ip-4 " TARGET " round-trip-time 1000");
        else
            snprintf(words, sizeof words, "ttl-expired ip-4 192.0.2.%d round-trip-time 1000", question->ttl);
        answer(net, question, words);
    }
    net->asked_count = 0;
}

/* Until all is known; returns how long it took, ms. */
static int64_t
run_plan(struct network *net)
{
    int64_t begun = net->now;
    for (int turns = 0; !plan_is_done(&net->path); turns++) {
        int64_t due = plan_step(&net->path, (struct instant){ net->now }, send_question, net);
        ck_assert_int_lt(turns, 10000);
        bool idle = net->asked_count == 0;
        pass_time(net);
        if (idle && due != NEVER && due > net->now)
            net->now = due;
    }
    return (net->now - begun) / NS_PER_MS;
}

START_TEST(a_path_that_answers_is_asked_at_once)
{
    struct network net = network(12, 3, 1);
    ck_assert_int_lt(run_plan(&net), 100);
    ck_assert_int_eq(net.path.flows[0].end, 12);
    ck_assert(path_is_reached(&net.path));
    ck_assert_int_le(net.sent, 12 * 3 + 3);
    ck_assert_int_le(net.most_sent, 5);
    path_free(&net.path);
}
END_TEST

START_TEST(silent_hops_cost_two_seconds)
{
    struct network net = network(12, 3, 1);
    net.silent = 1u << 5;
    ck_assert_int_le(run_plan(&net), 2500);
    ck_assert_int_eq(path_cell(&net.path, 5, 0, 0)->state, CELL_SILENT);
    ck_assert_int_eq(path_cell(&net.path, 5, 0, 0)->tries, 2);
    ck_assert(path_is_reached(&net.path));
    path_free(&net.path);
}
END_TEST

START_TEST(a_silent_end_costs_little_more_than_the_timeout)
{
    struct network net = network(0, 3, 1);
    int64_t took = run_plan(&net);
    ck_assert_int_ge(took, 4000);
    ck_assert_int_le(took, 6000);
    ck_assert_int_eq(path_length(&net.path, 0), 4);
    path_free(&net.path);
}
END_TEST

/*
 * A router that looks for the target in vain says so three seconds later of all that it has got, but of six at most: none
 * of these is a loss, whichever they are.
 */
START_TEST(who_stands_in_for_the_target_answers_all_queries)
{
    struct network net = network(0, 3, 1);
    struct question first[6];
    int count = 0;
    net.path.ahead = 5;
    net.path.gathers = true;
    for (int64_t end = net.now + 3060 * NS_PER_MS; net.now < end;) {
        plan_step(&net.path, (struct instant){ net.now }, send_question, &net);
        for (int i = 0; i < net.asked_count; i++)
            if (net.asked[i].ttl > 4 && count < 6)
                first[count++] = net.asked[i];
        pass_time(&net);
    }
    for (int i = 0; i < count; i++)
        answer(&net, &first[i], "no-route-host ip-4 192.0.2.4 round-trip-time 3060000 quoted-ttl 1");
    run_plan(&net);
    ck_assert_int_eq(net.path.flows[0].end, 5);
    for (int query = 0; query < 3; query++) {
        const struct reply *kept = path_cell(&net.path, 5, 0, query)->answer;
        ck_assert_ptr_nonnull(kept);
        ck_assert_int_eq(kept->kind, KIND_NO_ROUTE_HOST);
        ck_assert_int_eq(kept->value[FIELD_QUOTED_TTL] != NULL, query == 0);
    }
    path_free(&net.path);
}
END_TEST

START_TEST(many_flows_are_spread)
{
    struct network net = network(12, 1, 16);
    ck_assert_int_lt(run_plan(&net), 1500);
    ck_assert_int_le(net.most_sent, 5);
    for (int flow = 0; flow < 16; flow++)
        ck_assert_int_eq(net.path.flows[flow].end, 12);
    path_free(&net.path);
}
END_TEST

/* Of udp to an open port, say: the target's hop first, singly, and no more than one at a time near it. */
START_TEST(what_hinders_itself_goes_singly)
{
    struct network net = network(8, 3, 2);
    path_free(&net.path);
    net.path = (struct path){ .first = 1, .last = 30, .queries = 3, .flow_count = 2, .ahead = 3,
                              .timeout = 4 * NS_PER_S, .serial = true, .address = TARGET };
    path_begin(&net.path);
    run_plan(&net);
    ck_assert_int_eq(net.path.flows[0].end, 8);
    ck_assert_int_eq(net.path.flows[1].end, 8);
    for (int query = 0; query < 3; query++)
        ck_assert_int_eq(path_cell(&net.path, 8, 1, query)->state, CELL_ANSWERED);
    path_free(&net.path);
}
END_TEST

/* ---- paths that share routers which send six errors at once, and then one in so many milliseconds */

#define PATHS 64
#define SHARED_LENGTH 4 /* where the targets are, which answer everything */

struct crowd {
    struct network nets[PATHS];
    int64_t due[PATHS];     /* when it takes its next step */
    struct places *places;
    int64_t spell, target_spell; /* ms; 0: no limits. All targets are addresses of one host */
    int64_t tokens[SHARED_LENGTH + 1]; /* of the router, or target, at each ttl, ms */
    int64_t filled;
    int asked[SHARED_LENGTH + 1];
};

static void
begin_crowd(struct crowd *crowd, int64_t spell, bool spares)
{
    *crowd = (struct crowd){ .places = places_new(), .spell = spell, .filled = NS_PER_S };
    for (int ttl = 1; ttl < SHARED_LENGTH; ttl++)
        crowd->tokens[ttl] = 6 * spell;
    for (int i = 0; i < PATHS; i++) {
        crowd->nets[i] = network(SHARED_LENGTH, 3, 1);
        crowd->nets[i].path.ahead = 2;
        crowd->nets[i].path.places = crowd->places;
        crowd->nets[i].path.rank = i;
        crowd->nets[i].path.spares = spares;
    }
}

static void
free_crowd(struct crowd *crowd)
{
    for (int i = 0; i < PATHS; i++)
        path_free(&crowd->nets[i].path);
    places_free(crowd->places);
}

static int64_t
spell_at(const struct crowd *crowd, int ttl)
{
    return ttl < SHARED_LENGTH ? crowd->spell : crowd->target_spell;
}

/* What one path asked is answered while the routers have tokens. */
static void
answer_one(struct crowd *crowd, struct network *net)
{
    char words[200];
    for (int i = 0; i < net->asked_count; i++) {
        const struct question *question = &net->asked[i];
        int ttl = question->ttl < SHARED_LENGTH ? question->ttl : SHARED_LENGTH;
        crowd->asked[ttl]++;
        if (net->silent >> ttl & 1)
            continue;
        if (crowd->tokens[ttl] < spell_at(crowd, ttl))
            continue;
        crowd->tokens[ttl] -= spell_at(crowd, ttl);
        if (ttl < SHARED_LENGTH)
            snprintf(words, sizeof words, "ttl-expired ip-4 192.0.2.%d round-trip-time 1000", ttl);
        else
            snprintf(words, sizeof words, "reply ip-4 198.51.100.%d round-trip-time 1000", (int)(net - crowd->nets));
        answer(net, question, words);
    }
    net->asked_count = 0;
}

/* Until all is known of all paths; returns how long it took, ms. */
static int64_t
run_crowd(struct crowd *crowd)
{
    int64_t begun = crowd->nets[0].now, now = begun;
    for (int open = PATHS; open; now += NS_PER_MS) {
        open = 0;
        for (int ttl = 1; ttl <= SHARED_LENGTH; ttl++) {
            crowd->tokens[ttl] += (now - crowd->filled) / NS_PER_MS;
            if (crowd->tokens[ttl] > 6 * spell_at(crowd, ttl))
                crowd->tokens[ttl] = 6 * spell_at(crowd, ttl);
        }
        crowd->filled = now;
        for (int i = 0; i < PATHS; i++) {
            struct network *net = &crowd->nets[i];
            net->now = now;
            open += !plan_is_done(&net->path);
            if (net->asked_count) {
                answer_one(crowd, net);
                crowd->due[i] = now;
            } else if (now >= crowd->due[i]) {
                crowd->due[i] = plan_step(&net->path, (struct instant){ now }, send_question, net);
            }
        }
        ck_assert_int_lt(now - begun, 600 * NS_PER_S);
    }
    return (now - begun) / NS_PER_MS;
}

static int
count_cells(const struct crowd *crowd, int ttl, enum cell_state state)
{
    int count = 0;
    for (int i = 0; i < PATHS; i++)
        for (int query = 0; query < 3; query++)
            count += path_cell(&crowd->nets[i].path, ttl, 0, query)->state == state;
    return count;
}

/* A hop that waits for its turn while the router before it is not known is asked at the place that it turns out to be. */
START_TEST(a_place_is_known_when_it_is_asked)
{
    struct network net = network(SHARED_LENGTH, 1, 1);
    struct places *places = places_new();
    net.path.ahead = 2;
    net.path.places = places;
    struct place *unknown = places_at(places, "4", 2), *known = places_at(places, "192.0.2.1", 2);
    for (int i = 0; i < 5; i++)
        place_asked(unknown, (struct instant){ net.now }); /* by others: so it is full */
    plan_step(&net.path, (struct instant){ net.now }, send_question, &net);
    ck_assert_int_eq(net.asked_count, 1);
    pass_time(&net);
    plan_step(&net.path, (struct instant){ net.now }, send_question, &net);
    ck_assert_int_ge(net.asked_count, 1);
    ck_assert_int_eq(net.asked[0].ttl, 2);
    ck_assert_ptr_eq(path_hop(&net.path, 2)->place, known);
    path_free(&net.path);
    places_free(places);
}
END_TEST

/* A target that answers all is not limited, though who tells of its neighbours that they are down is. */
START_TEST(a_target_beside_limits)
{
    struct network net = network(3, 3, 1);
    net.path.places = places_new();
    run_plan(&net);
    for (int ttl = 2; ttl <= 3; ttl++)
        for (int i = 0; i < 3; i++)
            place_missed(path_hop(&net.path, ttl)->place, (struct instant){ net.now });
    ck_assert(place_is_rationed(path_hop(&net.path, 3)->place));
    ck_assert(path_hop_is_limited(&net.path, 2));
    ck_assert(!path_hop_is_limited(&net.path, 3));
    path_cell(&net.path, 3, 0, 1)->state = CELL_SPARED;
    free(path_cell(&net.path, 3, 0, 1)->answer);
    path_cell(&net.path, 3, 0, 1)->answer = NULL;
    ck_assert(path_hop_is_limited(&net.path, 3));
    places_free(net.path.places);
    path_free(&net.path);
}
END_TEST

/* One answer for each path, nothing taken for silent, and few probes in vain. */
START_TEST(paths_take_turns_at_a_limited_router)
{
    static struct crowd crowd;
    begin_crowd(&crowd, 1000, true);
    ck_assert_int_lt(run_crowd(&crowd), 100000);
    for (int ttl = 1; ttl < SHARED_LENGTH; ttl++) {
        for (int i = 0; i < PATHS; i++)
            ck_assert_ptr_nonnull(path_answer(&crowd.nets[i].path, ttl, 0));
        ck_assert_int_eq(count_cells(&crowd, ttl, CELL_SILENT), 0);
        ck_assert_int_lt(crowd.asked[ttl], 2 * PATHS);
    }
    ck_assert(path_hop_is_limited(&crowd.nets[0].path, 1));
    ck_assert(!path_hop_is_limited(&crowd.nets[0].path, SHARED_LENGTH));
    free_crowd(&crowd);
}
END_TEST

/* At four a second the pace is found. */
START_TEST(turns_are_as_fast_as_the_router)
{
    static struct crowd crowd;
    begin_crowd(&crowd, 250, true);
    ck_assert_int_lt(run_crowd(&crowd), 40000);
    for (int i = 0; i < PATHS; i++)
        ck_assert_ptr_nonnull(path_answer(&crowd.nets[i].path, 1, 0));
    free_crowd(&crowd);
}
END_TEST

/* All that was asked for, with -q, is asked; what can't be had in time is given up. */
START_TEST(turns_end)
{
    static struct crowd crowd;
    begin_crowd(&crowd, 1000, false);
    ck_assert_int_lt(run_crowd(&crowd), 135000);
    ck_assert_int_gt(count_cells(&crowd, 1, CELL_ANSWERED), 100);
    ck_assert_int_eq(count_cells(&crowd, 1, CELL_SPARED), 0);
    free_crowd(&crowd);
}
END_TEST

/* The targets are addresses of one host, each a stranger to the others: they take turns too. With a limited way there, too. */
START_TEST(addresses_of_a_limited_host)
{
    static struct crowd crowd;
    for (int way = 0; way < 2; way++) {
        begin_crowd(&crowd, way ? 1000 : 0, true);
        crowd.target_spell = 1000;
        crowd.tokens[SHARED_LENGTH] = 6000;
        ck_assert_int_lt(run_crowd(&crowd), 110000);
        for (int i = 0; i < PATHS; i++)
            ck_assert_ptr_nonnull(path_answer(&crowd.nets[i].path, SHARED_LENGTH, 0));
        for (int ttl = 1; ttl <= SHARED_LENGTH; ttl++)
            ck_assert_int_eq(count_cells(&crowd, ttl, CELL_SILENT), 0);
        ck_assert(path_hop_is_limited(&crowd.nets[PATHS - 1].path, SHARED_LENGTH));
        free_crowd(&crowd);
    }
}
END_TEST

START_TEST(nobody_waits_where_nobody_limits)
{
    static struct crowd crowd;
    begin_crowd(&crowd, 0, true);
    ck_assert_int_lt(run_crowd(&crowd), 150);
    for (int ttl = 1; ttl <= SHARED_LENGTH; ttl++)
        ck_assert_int_eq(count_cells(&crowd, ttl, CELL_ANSWERED), 3 * PATHS);
    free_crowd(&crowd);
}
END_TEST

/* A hop that is silent on all paths, and one that is on some, cost no more than on one. */
START_TEST(silence_is_no_limit)
{
    static struct crowd crowd;
    begin_crowd(&crowd, 0, true);
    for (int i = 0; i < PATHS; i++)
        crowd.nets[i].silent = 1u << 2 | (i % 3 ? 0 : 1u << 1);
    ck_assert_int_lt(run_crowd(&crowd), 12000);
    ck_assert_int_eq(count_cells(&crowd, 2, CELL_SILENT), 3 * PATHS);
    ck_assert_int_eq(count_cells(&crowd, 1, CELL_ANSWERED), 3 * (PATHS - PATHS / 3 - 1));
    free_crowd(&crowd);
}
END_TEST

/* ---- ends */

static void
hear(struct path *path, int ttl, const char *words)
{
    struct network net = { .path = *path };
    answer(&net, &(struct question){ ttl, 0, 0, false }, words);
    *path = net.path;
}

START_TEST(a_reply_beyond_beats_an_unreachable)
{
    struct network net = network(12, 1, 1);
    struct path *path = &net.path;
    hear(path, 3, "no-route-host ip-4 192.0.2.3 round-trip-time 900");
    ck_assert_int_eq(path->flows[0].end, 3);
    ck_assert_int_eq(path->verdict, ASK);
    hear(path, 6, "reply ip-4 " TARGET " round-trip-time 900");
    ck_assert(path->flows[0].reached);
    ck_assert_int_eq(path->flows[0].end, 6);
    hear(path, 5, "reply ip-4 " TARGET " round-trip-time 900");
    ck_assert_int_eq(path->flows[0].end, 5);
    hear(path, 4, "no-route-host ip-4 192.0.2.4 round-trip-time 900");
    ck_assert_int_eq(path->flows[0].end, 5);
    path_free(path);
}
END_TEST

START_TEST(the_target_itself_is_believed)
{
    struct network net = network(12, 1, 1);
    hear(&net.path, 3, "no-route-host ip-4 " TARGET " round-trip-time 900");
    ck_assert_int_eq(net.path.verdict, NOT_ASKED);
    path_free(&net.path);
}
END_TEST

/* ---- the stopping rule, as in the table of Veitch et al. */

START_TEST(flows_that_are_enough)
{
    static const int table[] = { 6, 11, 16, 21, 27, 33, 38, 44, 51, 57, 63, 70, 76, 83, 90, 96 };
    for (size_t i = 0; i < COUNT(table); i++)
        ck_assert_int_eq(mda_enough((int)i + 1), table[i]);
}
END_TEST

/* ---- words */

static void
check_words(struct said *said, int ttl, const char *facts, const char *expected)
{
    char line[300], text[WORDS_MAX];
    struct reply reply;
    snprintf(line, sizeof line, "1 ttl-expired ip-4 192.0.2.1 round-trip-time 5 %s", facts);
    ck_assert(reply_read(line, &reply));
    ck_assert_str_eq(words_of(said, &reply, ttl, TARGET, text), expected);
}

START_TEST(words_are_said_once)
{
    struct said said = { .tos = 0xba };
    check_words(&said, 1, "quoted-tos 186 reply-ttl 64", "");
    check_words(&said, 2, "quoted-tos 2 reply-ttl 63", "dscp 46->0");
    check_words(&said, 3, "quoted-tos 0 reply-ttl 62 nat 1", "ecn bleached, nat");
    check_words(&said, 4, "quoted-tos 0 reply-ttl 250 nat 1", "back 6 hops");
    check_words(&said, 5, "reply-ttl 249", "");
    check_words(&said, 6, "interface incoming,index=3,name=eth0,address=10.0.0.1,mtu=1500", "in eth0 10.0.0.1");
    check_words(&said, 7, "interface outgoing,index=3 node name=core,address=10.0.0.9", "out 3, node core 10.0.0.9");
    check_words(&said, 7, "interface incoming,name=a interface sub-ip,name=b interface outgoing,name=c interface next-hop,name=d "
                          "interface incoming,name=e", "in a, sub-ip b, out c, next hop d");
    check_words(&said, 8, "extension 9/1/01 extension 9/2/", "extension 9/1/01, extension 9/2/");
    check_words(&said, 9, "quoted-tos 999 reply-ttl 0 interface , node", "");
}
END_TEST

/* What the target says of what it was asked. */
START_TEST(words_of_the_target)
{
    static const uint8_t random[SERVICE_RANDOM];
    static const struct {
        const char *facts, *expected;
    } rows[] = {
        { "reply-payload 000081800000000000000000", "dns answers" },
        { "reply-payload 00", "not an answer of dns" },
        { "icmp-type 3 icmp-code 3 reply-ttl 60", "no dns: port unreachable, back 5 hops" },
        { "tcp-flags syn-ack tcp-ecn not-ect", "not an answer of dns, ecn ect-0 came as not-ect: bleached" },
    };
    struct service_question question = { 0 };
    char line[300], text[WORDS_MAX];
    struct reply reply;
    ck_assert(service_ask(&question, "dns", random));
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct said said = { .question = &question, .sent_tos = 0xba, .tos = 0xba };
        snprintf(line, sizeof line, "1 reply ip-4 " TARGET " round-trip-time 5 %s", rows[i].facts);
        ck_assert(reply_read(line, &reply));
        ck_assert_str_eq(words_of(&said, &reply, 3, TARGET, text), rows[i].expected);
    }
}
END_TEST

/* ---- rounds */

/* Rounds in which a hop answers where PATTERN, of which each letter is a round, has an x. */
static struct tally
play_rounds(const char *pattern, const char *behind)
{
    struct tally tally;
    tally_begin(&tally, 1, 2);
    for (int64_t round = 1; pattern[round - 1]; round++) {
        tally_sent(&tally, 1, round);
        tally_sent(&tally, 2, round);
        if (pattern[round - 1] == 'x')
            tally_heard(&tally, 1, round, 0, "192.0.2.1", "", 100, 0);
        else
            tally_silent(&tally, 1, round);
        if (behind[round - 1] == 'x')
            tally_heard(&tally, 2, round, 0, "192.0.2.2", "", 100, 0);
        else
            tally_silent(&tally, 2, round);
    }
    return tally;
}

START_TEST(limits_are_told_from_loss)
{
    static const struct {
        const char *here, *behind;
        bool limited;
    } rows[] = {
        { "xxxxxx....x....x....", "xxxxxxxxxxxxxxxxxxxx", true },
        { "x.x.x.x.x.x.x.x.x.x.", "xxxxxxxxxxxxxxxxxxxx", true },
        { "xxxxx..........xxxxx", "xxxxxxxxxxxxxxxxxxxx", false }, /* an outage */
        { "x.xx.xx.xxx.xx.xxx.x", "x.xx.xx.xxx.xx.xxx.x", false }, /* what is behind is lost as well */
        { "....................", "xxxxxxxxxxxxxxxxxxxx", false }, /* silent */
        { "xxxxxxxxxxxxxxxxxxxx", "xxxxxxxxxxxxxxxxxxxx", false },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tally tally = play_rounds(rows[i].here, rows[i].behind);
        ck_assert_msg(tally_is_limited(&tally, 1, 20) == rows[i].limited, "%s", rows[i].here);
        tally_free(&tally);
    }
}
END_TEST

#define LOSSY_HOPS 12

/* How many hops are called limited when what goes beyond hop 3 is lost, so many in a hundred, at random. */
static int
count_limited(int rounds, int percent)
{
    struct tally tally;
    int limited = 0;
    tally_begin(&tally, 1, LOSSY_HOPS);
    for (int64_t round = 1; round <= rounds; round++)
        for (int ttl = 1; ttl <= LOSSY_HOPS; ttl++) {
            tally_sent(&tally, ttl, round);
            if (ttl <= 3 || rand() % 1000 >= 10 * percent)
                tally_heard(&tally, ttl, round, 0, "192.0.2.1", "", 100, 0);
            else
                tally_silent(&tally, ttl, round);
        }
    for (int ttl = 1; ttl <= LOSSY_HOPS; ttl++)
        limited += tally_is_limited(&tally, ttl, rounds);
    tally_free(&tally);
    return limited;
}

/* Less than one hop in a thousand, of those that lose. */
START_TEST(random_loss_is_no_limit)
{
    static const struct {
        int rounds, percent;
    } rows[] = { { 20, 30 }, { 60, 10 }, { 60, 30 }, { 200, 15 } };
    srand(1);
    for (size_t i = 0; i < COUNT(rows); i++) {
        int limited = 0;
        for (int runs = 0; runs < 1000; runs++)
            limited += count_limited(rows[i].rounds, rows[i].percent);
        ck_assert_msg(limited < LOSSY_HOPS - 3, "%d of %d%% in %d rounds", limited, rows[i].percent, rows[i].rounds);
    }
}
END_TEST

/* Six at once, then one a second, at ten rounds a second; a tenth of all is lost, too. */
START_TEST(limits_show_soon)
{
    struct tally tally = play_rounds("xxxxxx...x.........x.", "xxxxxxxxxxxxxxxxxxxxx");
    ck_assert(tally_is_limited(&tally, 1, 21));
    tally_free(&tally);
    tally = play_rounds("xxxxxx...x.........x.........x", "xx.xxxxxxxxxxxxx.xxxxxxxxxx.xx");
    ck_assert(tally_is_limited(&tally, 1, 30));
    tally_free(&tally);
}
END_TEST

/* An unreachable is an answer: what the lines of a hop received is all that it did not lose. */
START_TEST(unreachables_are_no_loss)
{
    static const char here[] = "x!x!x!x.x!x!x!x!x!x!"; /* of 20, one is lost */
    struct tally tally;
    tally_begin(&tally, 1, 2);
    for (int64_t round = 1; here[round - 1]; round++) {
        tally_sent(&tally, 1, round);
        tally_sent(&tally, 2, round);
        if (here[round - 1] == '.')
            tally_silent(&tally, 1, round);
        else
            tally_heard(&tally, 1, round, 0, "192.0.2.1", here[round - 1] == '!' ? "!H" : "", 100, 0);
        tally_heard(&tally, 2, round, 0, "192.0.2.2", "", 100, 0);
    }
    const struct round_hop *hop = tally_hop(&tally, 1);
    ck_assert_double_eq_tol(tally_loss(hop), 5, 1e-9);
    ck_assert_int_eq(hop->responder_count, 2);
    ck_assert_int_eq(hop->responders[0].received + hop->responders[1].received, 19);
    ck_assert(!tally_is_limited(&tally, 1, 20));
    ck_assert_int_eq(tally_balance(&tally, 1), BALANCE_NONE);
    ck_assert_int_eq(tally.change_count, 0);
    tally_free(&tally);
}
END_TEST

/* Who answers is a letter for each round; FLOWS take turns, or, where there is one, the probes have none. */
static struct tally
play_turns(const char *who, int flows)
{
    struct tally tally;
    tally_begin(&tally, 1, 1);
    tally.has_flows = flows > 1;
    for (int round = 1; who[round - 1]; round++) {
        char address[] = "192.0.2.a";
        address[8] = who[round - 1];
        tally_sent(&tally, 1, round);
        tally_heard(&tally, 1, round, (round - 1) % flows, address, "", 100, 0);
    }
    return tally;
}

START_TEST(balancing_and_changes)
{
    static const struct {
        const char *who;
        enum balance balance; /* of probes that have flows, */
        enum balance without;
        int changes;
    } rows[] = {
        { "aaaaaaaaaaaaaaaa", BALANCE_NONE, BALANCE_NONE, 0 },
        { "abababababababab", BALANCE_FLOWS, BALANCE_EITHER, 0 },
        { "abbabaabbaabbaba", BALANCE_PACKETS, BALANCE_EITHER, 2 },
        { "aaaaaaaabbbbbbbb", BALANCE_NONE, BALANCE_NONE, 1 },
        { "aaaabbbbbbbbcccc", BALANCE_NONE, BALANCE_NONE, 2 },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tally tally = play_turns(rows[i].who, 4);
        ck_assert_msg(tally_balance(&tally, 1) == rows[i].balance, "%s", rows[i].who);
        ck_assert_int_eq(tally.change_count, rows[i].changes);
        tally_free(&tally);
        tally = play_turns(rows[i].who, 1);
        ck_assert_msg(tally_balance(&tally, 1) == rows[i].without, "%s without flows", rows[i].who);
        tally_free(&tally);
    }
}
END_TEST

/* Each word is a round of as many probes as it is asked hops of; who answered when: r(outer), t(arget), or s(ilence). */
static struct tally
play_ends(const char *const *rounds, int asked)
{
    struct tally tally;
    tally_begin(&tally, 1, 9);
    for (int64_t round = 1; rounds[round - 1]; round++) {
        for (int ttl = 1; ttl <= asked; ttl++)
            tally_sent(&tally, ttl, round);
        for (const char *word = rounds[round - 1]; *word; word += 2) {
            char address[] = "192.0.2.1";
            address[8] = word[1];
            int ttl = word[1] - '0';
            if (*word == 't')
                tally_reached(&tally, ttl, round, 0, TARGET, 100, 0);
            else if (*word == 'r')
                tally_heard(&tally, ttl, round, 0, address, "", 100, 0);
            else
                tally_silent(&tally, ttl, round);
        }
    }
    return tally;
}

/* What the target answers beyond where it is says nothing of a hop there, in whatever order it comes. */
START_TEST(nobody_is_beyond_the_target)
{
    static const char *const orders[][2] = {
        { "r1r2t3t4t5t6" }, { "t6t5t4t3r2r1" }, { "t4r1t3t6t5r2" }, { "s5r1t6t4r2t3" }, { "t6r2t4s5t3s1" },
    };
    for (size_t i = 0; i < COUNT(orders); i++) {
        struct tally tally = play_ends(orders[i], 6);
        for (int ttl = 1; ttl <= 6; ttl++) {
            ck_assert_msg(tally_hop(&tally, ttl)->open == 0, "%s: %d", orders[i][0], ttl);
            ck_assert_msg(ttl <= 3 || !tally_hop(&tally, ttl)->responder_count, "%s: %d", orders[i][0], ttl);
        }
        ck_assert_int_eq(tally_hop(&tally, 3)->got, 1);
        ck_assert_int_eq(tally_hop(&tally, 4)->sent, 0);
        tally_free(&tally);
    }
}
END_TEST

/* A path that grows, and one that shrinks, change where somebody is; a hop that loses one holds nothing back for good. */
START_TEST(ends_that_move)
{
    static const char *const grows[] = { "r1r2t3t4t5", "r1r2t3t4t5", "r1r2r3r4t5", NULL };
    static const char *const shrinks[] = { "r1r2r3r4t5", "r1r2t3t5t4", NULL };
    static const char *const loses[] = { "r1r2t4t5s3", "r1r2t3t4t5", "r1t3s2t4t5", "r1s2t4t5", NULL };
    struct tally tally = play_ends(grows, 5);
    ck_assert_int_eq(tally.change_count, 1);
    ck_assert_int_eq(tally.changes[0].ttl, 3);
    ck_assert_int_eq(tally_hop(&tally, 4)->sent, 1);
    ck_assert_int_eq(tally_hop(&tally, 5)->got, 1);
    tally_free(&tally);
    tally = play_ends(shrinks, 5);
    ck_assert_int_eq(tally.change_count, 1);
    ck_assert_int_eq(tally.changes[0].ttl, 3);
    tally_free(&tally);
    tally = play_ends(loses, 5);
    ck_assert_int_eq(tally_hop(&tally, 3)->got, 2);
    ck_assert_int_eq(tally.held_count, 0); /* it has been at hop 4: so it is taken for there at once */
    tally_end(&tally, true);
    ck_assert_int_eq(tally_hop(&tally, 3)->open, 0);
    ck_assert_int_eq(tally_hop(&tally, 3)->sent, 4);
    tally_free(&tally);
}
END_TEST

Suite *
trace_suite(void)
{
    Suite *suite = suite_create("trace");
    TCase *tests = tcase_create("trace");
    tcase_add_test(tests, a_path_that_answers_is_asked_at_once);
    tcase_add_test(tests, silent_hops_cost_two_seconds);
    tcase_add_test(tests, a_silent_end_costs_little_more_than_the_timeout);
    tcase_add_test(tests, who_stands_in_for_the_target_answers_all_queries);
    tcase_add_test(tests, many_flows_are_spread);
    tcase_add_test(tests, what_hinders_itself_goes_singly);
    tcase_add_test(tests, a_place_is_known_when_it_is_asked);
    tcase_add_test(tests, a_target_beside_limits);
    tcase_add_test(tests, paths_take_turns_at_a_limited_router);
    tcase_add_test(tests, turns_are_as_fast_as_the_router);
    tcase_add_test(tests, turns_end);
    tcase_add_test(tests, addresses_of_a_limited_host);
    tcase_add_test(tests, nobody_waits_where_nobody_limits);
    tcase_add_test(tests, silence_is_no_limit);
    tcase_add_test(tests, a_reply_beyond_beats_an_unreachable);
    tcase_add_test(tests, the_target_itself_is_believed);
    tcase_add_test(tests, flows_that_are_enough);
    tcase_add_test(tests, words_are_said_once);
    tcase_add_test(tests, words_of_the_target);
    tcase_add_test(tests, limits_are_told_from_loss);
    tcase_add_test(tests, random_loss_is_no_limit);
    tcase_add_test(tests, limits_show_soon);
    tcase_add_test(tests, unreachables_are_no_loss);
    tcase_add_test(tests, balancing_and_changes);
    tcase_add_test(tests, nobody_is_beyond_the_target);
    tcase_add_test(tests, ends_that_move);
    suite_add_tcase(suite, tests);
    return suite;
}
