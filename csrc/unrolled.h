// The kernels' whole face: plain C functions on raw pointers, the same in every library. A library is one compilation
// of kernels.cpp for one instruction set; Python opens it by ctypes and needs no compiler.
//
// Words used below
//   n_a      units of the cell.   batch, steps: of the sequences.   N: the rows of all steps together.
//   W        floats of one vector of this library: unrolled_width().
//   vectors  ceil(n_a / W): how many vectors hold the units.
//   row      gates * n_a floats: what one step of one sequence keeps for its gates, one gate after the other:
//                LSTM u f c o   simplified GRU c u   RNN a   GRU r u c
//   counts   [steps], falling, each <= batch: how many sequences are still there at a step; the sequences are sorted by
//            length, longest first, and step t's rows follow those of step t - 1 without gaps. NULL: all at every step.
//
// All arrays are contiguous float32 unless a leading dimension is given, need no alignment, and live as long as the
// call. No two of them may overlap. Nothing is kept between calls and nothing is allocated; calls from several threads
// at once are sound.
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { UNROLLED_RNN_TANH, UNROLLED_RNN_RELU, UNROLLED_GRU_SIMPLE, UNROLLED_GRU, UNROLLED_LSTM };
enum { UNROLLED_SPLIT_AUTO, UNROLLED_SPLIT_ROWS, UNROLLED_SPLIT_UNITS }; // what threads share out among them

typedef struct {
    int64_t cell, threads, split, steps, batch, units;
    const int64_t *counts; // [steps] or NULL
    const float *W_a;      // [row, n_a]; leading dimension ld_W
    int64_t ld_W;
    // Zoneout: how much of the new a (or c), and of an LSTM's new c, is taken over the old one, [N, n_a]. NULL: its mean
    // everywhere, 1 - zoneout.
    const float *taken[2];
    float zoneout;
} unrolled_sequences; // what both ways share

typedef struct {
    unrolled_sequences of;
    int64_t train;   // 0: only a and state are wanted
    const float *b;  // [row]
    float *gates;    // [N, row] in: W_x x of every step; out: with train the gates after sigmoid and tanh
    float *a;        // [N, n_a] out: a_t
    float *state[2]; // [batch, n_a] in: before the first step; out: after each sequence's last. a (and c of an LSTM)
    float *c;        // [N, n_a] out, LSTM with train: c_t
    float *relevant; // GRU: out, with train [N, n_a]: gamma_r * c_prev; else scratch [batch, n_a]
    float *work;     // scratch, unrolled_work() floats
} unrolled_forward;

typedef struct {
    unrolled_sequences of;
    const float *gates, *a, *c; // as the forward call left them
    const float *state[2]; // [batch, n_a] before the first step
    const float *d_a;      // [N, n_a] gradient of a
    float *d_state[2];     // [batch, n_a] in: gradient of the state after; out: of the state before
    float *d_gates;        // [N, row] out: gradient of W[a_prev, x] + b
    float *d_b;            // [row] out: gradient of b
    const float *x;        // [N, inputs] of each row
    float *stacked;        // [N, n_a + inputs] out: a_prev and x of each row, by which d_gates make the gradient of W
    int64_t inputs;
    float *work;
} unrolled_backward;

int64_t unrolled_version(void); // of this face; another one is not called
int64_t unrolled_width(void);   // W
int64_t unrolled_cpu(void);     // 1 where this CPU has the library's instruction set. The one function sure to run

// Floats of scratch that either call needs.
int64_t unrolled_work(int64_t cell, int64_t batch, int64_t units, int64_t threads);

// Whole sequences; see the structures. Unknown cells and empty sequences return at once.
void unrolled_run_forward(const unrolled_forward *call);
void unrolled_run_backward(const unrolled_backward *call);

// ---- Cross-entropy of a softmax over n outputs, with its gradient in place.

typedef struct {
    int64_t threads, rows, outputs;
    int64_t train;       // 0: only nats are wanted, and z is left alone
    float *z;            // [rows, outputs] in: W a; out, with train: softmax(z + b), less 1 at the target
    const float *b;      // [outputs]
    const int64_t *y;    // [rows] targets, each 0 to outputs - 1
    float *nats;         // [rows] out: -log softmax(z + b) at the target
    float *d_b;          // [outputs] out, with train: the sum of the rows of z
    float *work;         // scratch, threads * outputs floats
} unrolled_entropy;

void unrolled_cross_entropy(const unrolled_entropy *call);

// ---- Single steps, for running a model: several layers over each other and the output layer in one call.
//
// Weights are packed once, by unrolled_pack, and read ever after: as float32, or as int8 with a scale for each row of
// the matrix; then what they multiply is rounded to int8 at each step, with a scale for each of its rows, and sums are
// exact. A row's result has the same bits whatever rows stand beside it.
//
// Here `lanes` are what `row` is above, but interleaved, so that what is used together lies together: the gates of a
// group stand vector by vector, W units of each gate, and of the last vector those that are left,
//     LSTM [vectors][u f c o][W]   simplified GRU [vectors][c u][W]   RNN [vectors][a][W]
//     GRU  [vectors][r u][W] and behind it [vectors][c][W]: its candidate multiplies another left operand

typedef struct {
    int64_t cell, rows, units, inputs;
    int64_t bits;          // 32 or 8
    const void *W_a[2];    // packed [lanes, n_a], of the first gates and (GRU) of the candidate
    const void *W_x[2];    // packed [lanes, inputs]; NULL: what x adds stands in the table
    const float *b;        // [lanes]
    const float *table;    // [lines, lanes] W_x x of each id, or where there is W_x [lines, inputs]; NULL: x is given
    const int64_t *ids;    // [rows] lines of the table; a negative one is the vector of zeros
    int64_t lines;         // of the table
    const float *x;        // [rows, inputs] where there is no table. May be state[0] of the layer below
    float *state[2];       // [rows, n_a] in: before the step; out: after it
    float zoneout;         // as in unrolled_sequences
    float *work;           // scratch, unrolled_step_work() floats; layers and head share it
} unrolled_layer;

typedef struct {
    int64_t rows, inputs, outputs, bits;
    int64_t normalise;   // 1: log softmax
    int64_t k;           // so many largest outputs are wanted, falling, ties by id; 0: all
    const void *W;       // packed [outputs, inputs]
    const float *b;      // [outputs]
    const float *x;      // [rows, inputs]
    float *y;            // [rows, outputs] out; scratch where k are wanted
    float *best;         // [rows, k] out
    int64_t *ids;        // [rows, k] out
    float *work;
} unrolled_head;

// Bytes of a packed [rows, K] matrix, and its packing. ld: M's leading dimension.
int64_t unrolled_packed(int64_t rows, int64_t K, int64_t bits);
void unrolled_pack(int64_t rows, int64_t K, const float *M, int64_t ld, int64_t bits, void *packed);

typedef struct {
    const unrolled_layer *layers; // [count], in their order
    int64_t count;
    const unrolled_head *head;    // after them; may be NULL
    int64_t threads;
    int64_t back;                 // 0 at first, then the kernel's own: which end weights are read from
} unrolled_steps;

// Floats of scratch that a layer or a head needs; inputs, units: the largest of them.
int64_t unrolled_step_work(int64_t rows, int64_t units, int64_t inputs, int64_t threads);
// One step. Returns 0; or 1, and does nothing, where an id is past its table.
int64_t unrolled_step(unrolled_steps *call);

// Threads come from the OpenMP runtime of the process, if it has one: pointers to GOMP_parallel, omp_get_num_threads
// and omp_get_thread_num. Until then, or with NULL, every call runs on the caller's thread.
void unrolled_use_threads(void (*parallel)(void (*)(void *), void *, unsigned, unsigned), int (*team)(void),
                          int (*me)(void));

// Whether numbers below 2^-126 count as zeros, here and in all other code: a processor takes a hundred times as long for
// an operation on one. For the calling thread and as many of the runtime's; returns what it was for the calling one.
int64_t unrolled_flush_denormals(int64_t on, int64_t threads);

// sigmoid and tanh of x [n], for tests. May be in place.
void unrolled_sigmoid(int64_t n, const float *x, float *y);
void unrolled_tanh(int64_t n, const float *x, float *y);

#ifdef __cplusplus
}
#endif
