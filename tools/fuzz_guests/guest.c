/* What the cases of tools/fuzz.py --kind files change: a little of everything that debug
 * information describes. `make` compiles it as DWARF 4 and 5. */

enum kind { EMPTY, FIRST = 3, LAST = -1 };

typedef unsigned int u32;

struct point {
    short x, y;
};

union word {
    u32 whole;
    unsigned char bytes[4];
};

struct node {
    struct node *next;
    enum kind kind;
    u32 flag : 3, level : 7;
    union word word;
    struct point points[3];
    char name[8];
    int (*act)(struct node *node, int depth);
};

static struct node nodes[4];
static struct node *head;
volatile u32 counter;
long total[2][3] = {{1, 2, 3}, {4, 5, 6}};
const char greeting[] = "hello";
extern char stack_top[];

static inline __attribute__((always_inline)) int scaled(const struct node *node, int factor)
{
    int result = node->points[1].x * factor;

    if (result > 100) {
        int rest = result - 100;

        counter += (u32)rest;
        result = rest;
    }
    return result;
}

__attribute__((noinline)) static int act(struct node *node, int depth)
{
    static u32 calls;
    int sum = scaled(node, depth + 2);

    calls++;
    node->level = calls & 127;
    if (depth > 0)
        sum += node->act(node, depth - 1);
    return sum + scaled(node, 3);
}

__attribute__((noinline)) void link_all(u32 count)
{
    for (u32 i = 0; i < count; i++) {
        struct node *node = &nodes[i];

        node->next = head;
        node->act = act;
        node->kind = i & 1 ? FIRST : LAST;
        node->points[1].x = (short)(i * 30);
        node->word.whole = 0x01020304u * i;
        head = node;
    }
}

int main(void)
{
    long sum = 0;

    link_all(4);
    for (struct node *node = head; node; node = node->next)
        sum += node->act(node, 3);
    total[1][2] = sum;
    counter++;
    return (int)sum;
}
