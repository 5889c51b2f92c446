/* The yardstick: mosquitto's own client library, many connections in one process, one epoll loop.
 *
 * Speaks the same words on stdin and stdout as bench/live/lean_load.py (see bench/live/drivers.py).
 *
 *   load idle  PORT COUNT                          connect with a will and a kept session, stay
 *   load recv  PORT COUNT TOPIC QOS EXPECTED      every connection subscribes, all count together
 *   load flag  PORT COUNT TOPIC ROUNDS            as recv; payloads carry the time they were sent
 *   load send  PORT COUNT TOPIC QOS BYTES MESSAGES   one connection, to COUNT topics in turn
 *
 * "%d" in TOPIC is the connection's number. Times are seconds of CLOCK_MONOTONIC.
 */
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#define AT_ONCE 100 /* connects without a CONNACK: mosquitto's listen backlog */
#define PER_ADDRESS 1000
#define WINDOW 100

static int port, count, qos, connected, subscribed, epfd;
static const char *topic = "";
static long expected, received, acked;
static double first_at, last_at, *delays;
static struct mosquitto **clients;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long resident_kb(void) {
    long size, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (fscanf(f, "%ld %ld", &size, &pages) != 2) exit(2);
    fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void check(int rc, const char *what) {
    if (rc != MOSQ_ERR_SUCCESS) {
        fprintf(stderr, "load: %s: %s\n", what, mosquitto_strerror(rc));
        exit(2);
    }
}

static void name_topic(char *into, size_t size, long i) {
    const char *mark = strstr(topic, "%d");
    if (mark == NULL) snprintf(into, size, "%s", topic);
    else snprintf(into, size, "%.*s%ld%s", (int)(mark - topic), topic, i, mark + 2);
}

static void on_connect(struct mosquitto *m, void *o, int rc, int f, const mosquitto_property *p) {
    (void)f; (void)p;
    check(rc, "CONNACK");
    connected++;
    if (*topic && expected) {
        char mine[256];
        name_topic(mine, sizeof mine, (long)o - 1);
        check(mosquitto_subscribe(m, NULL, mine, qos), "subscribe");
    }
}

static void on_subscribe(struct mosquitto *m, void *o, int mid, int n, const int *granted) {
    (void)m; (void)o; (void)mid; (void)n;
    if (granted[0] >= 0x80) check(MOSQ_ERR_ACL_DENIED, "SUBACK");
    subscribed++;
}

static void on_message(struct mosquitto *m, void *o, const struct mosquitto_message *msg) {
    (void)m; (void)o;
    if (received == 0) first_at = now();
    if (delays) {
        double sent;
        memcpy(&sent, msg->payload, sizeof sent);
        delays[received] = now() - sent;
    }
    if (++received == expected) last_at = now();
}

static void on_publish(struct mosquitto *m, void *o, int mid) {
    (void)m; (void)o; (void)mid;
    acked++;
}

static struct mosquitto *open_one(long i, int will) {
    char id[64], bind[32];
    mosquitto_property *props = NULL;
    snprintf(id, sizeof id, "c-%d-%ld", (int)getpid(), i);
    struct mosquitto *m = mosquitto_new(id, !will, (void *)(i + 1)); /* NULL means itself */
    mosquitto_int_option(m, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
    mosquitto_int_option(m, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_int_option(m, MOSQ_OPT_SEND_MAXIMUM, WINDOW);
    mosquitto_connect_v5_callback_set(m, on_connect);
    mosquitto_subscribe_callback_set(m, on_subscribe);
    mosquitto_message_callback_set(m, on_message);
    mosquitto_publish_callback_set(m, on_publish);
    if (will) {
        char mine[256];
        snprintf(mine, sizeof mine, "fd/bench/d/%s/link", id);
        check(mosquitto_will_set(m, mine, 7, "offline", 1, true), "will");
        mosquitto_property_add_int32(&props, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 3600);
    }
    mosquitto_property_add_int16(&props, MQTT_PROP_RECEIVE_MAXIMUM, WINDOW);
    snprintf(bind, sizeof bind, "127.%d.%d.%ld", 2 + getpid() / 250 % 250, getpid() % 250,
             2 + i / PER_ADDRESS);
    check(mosquitto_connect_bind_v5(m, "127.0.0.1", port, 60, bind, props), "connect");
    mosquitto_property_free_all(&props);
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = (unsigned)i};
    if (epoll_ctl(epfd, EPOLL_CTL_ADD, mosquitto_socket(m), &ev)) exit(2);
    return m;
}

static void turn(int patience_ms) {
    struct epoll_event events[256];
    int n = epoll_wait(epfd, events, 256, patience_ms);
    for (int e = 0; e < n; e++) {
        struct mosquitto *m = clients[events[e].data.u32];
        check(mosquitto_loop_read(m, 1), "read");
        while (mosquitto_want_write(m)) check(mosquitto_loop_write(m, 1), "write");
    }
}

static void open_all(int will) {
    clients = calloc((size_t)count, sizeof *clients);
    long before = resident_kb();
    double begun = now();
    for (long i = 0; i < count; i++) {
        clients[i] = open_one(i, will);
        while (i + 1 - connected >= AT_ONCE) turn(1000);
    }
    while (connected < count) turn(1000);
    double took = now() - begun;
    while (expected && subscribed < count) turn(1000);
    printf("ready %f %ld\n", took, resident_kb() - before);
    fflush(stdout);
}

static void wait_for_word(void) {
    char line[64];
    if (fgets(line, sizeof line, stdin) == NULL) exit(0);
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void send_all(long messages, int bytes) {
    char *payload = calloc(1, (size_t)bytes), mine[256];
    struct mosquitto *m;
    count = 1;
    int topics = (int)expected;
    expected = 0;
    open_all(0);
    m = clients[0];
    struct pollfd fd = {.fd = mosquitto_socket(m), .events = POLLIN};
    wait_for_word();
    double begun = now();
    for (long i = 0; i < messages; i++) {
        name_topic(mine, sizeof mine, i % topics);
        if (bytes >= 8) { double t = now(); memcpy(payload, &t, sizeof t); }
        check(mosquitto_publish(m, NULL, mine, bytes, payload, qos, false), "publish");
        while (mosquitto_want_write(m) || (qos && i + 1 - acked >= WINDOW)) {
            fd.events = (short)(POLLIN | (mosquitto_want_write(m) ? POLLOUT : 0));
            poll(&fd, 1, 1000);
            if (fd.revents & POLLIN) check(mosquitto_loop_read(m, 1), "read");
            if (fd.revents & POLLOUT) check(mosquitto_loop_write(m, 1), "write");
        }
    }
    while (acked < messages) turn(1000); /* QoS 0 counts as acked when written */
    printf("done %f %f\n", begun, now());
    fflush(stdout);
    wait_for_word();
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    const char *mode = argv[1];
    port = atoi(argv[2]);
    count = atoi(argv[3]);
    epfd = epoll_create1(0);
    mosquitto_lib_init();
    if (!strcmp(mode, "idle") && argc == 4) {
        open_all(1);
        wait_for_word();
    } else if (!strcmp(mode, "recv") && argc == 7) {
        topic = argv[4]; qos = atoi(argv[5]); expected = atol(argv[6]);
        open_all(0);
        while (received < expected) turn(1000);
        printf("done %f %f %ld\n", first_at, last_at, received);
        fflush(stdout);
        wait_for_word();
    } else if (!strcmp(mode, "flag") && argc == 6) {
        int rounds = atoi(argv[5]);
        topic = argv[4]; qos = 1; expected = count;
        delays = calloc((size_t)count, sizeof *delays);
        open_all(0);
        for (int r = 0; r < rounds; r++) {
            received = 0;
            while (received < expected) turn(1000);
            qsort(delays, (size_t)count, sizeof *delays, by_size);
            printf("flag %f %f %ld\n", delays[count / 2], delays[count - 1], received);
            fflush(stdout);
        }
        wait_for_word();
    } else if (!strcmp(mode, "send") && argc == 8) {
        topic = argv[4]; qos = atoi(argv[5]); expected = count;
        send_all(atol(argv[7]), atoi(argv[6]));
    } else {
        return 2;
    }
    return 0;
}
