// The interface of the kernels: plain C functions on raw pointers, the same in every library. A library is one
// compilation of the sources for one instruction set. Python opens it with ctypes and needs no compiler.
//
// Terms
//   n_a      number of units of the cell.
//   batch    number of sequences.
//   steps    number of steps of the longest sequence.
//   N        number of rows of all steps together. A row is one step of one sequence.
//   W        number of floats in one vector of this library: unrolled_width().
//   vectors  ceil(n_a / W), the number of vectors that hold the units.
//   row      gates * n_a floats: the gates of one step of one sequence, one gate after the other:
//                LSTM u f c o   simplified GRU c u   RNN a   GRU r u c
//   counts   [steps], never increasing, each <= batch: the number of sequences that have this step. The sequences are
//            sorted by length, longest first. The rows of step t follow the rows of step t - 1 without gaps. NULL:
//            every sequence has every step.
//
// All arrays are contiguous float32 unless a leading dimension is given. They need no alignment, must stay valid
// during the call, and must not overlap. A call keeps nothing and allocates nothing. Several threads may call at once.
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { UNROLLED_RNN_TANH, UNROLLED_RNN_RELU, UNROLLED_GRU_SIMPLE, UNROLLED_GRU, UNROLLED_LSTM };
enum { UNROLLED_SPLIT_AUTO, UNROLLED_SPLIT_ROWS, UNROLLED_SPLIT_UNITS }; // what is divided among the threads

typedef struct {
    int64_t cell, threads, split, steps, batch, units;
    const int64_t *counts; // [steps] or NULL
    const float *W_a;      // [row, n_a]; leading dimension ld_W
    int64_t ld_W;
    // Zoneout: the fraction of the new value that replaces the old one, [N, n_a]. taken[0] is for a (GRU: c), taken[1]
    // for c of an LSTM. NULL: the mean, 1 - zoneout, everywhere.
    const float *taken[2];
    float zoneout;
} unrolled_sequences; // the arguments of both directions

typedef struct {
    unrolled_sequences of;
    int64_t train;   // 0: only a and state are needed
    const float *b;  // [row]
    float *gates;    // [N, row] in: W_x x of every step; out, with train: the gates after sigmoid and tanh
    float *a;        // [N, n_a] out: a_t
    float *state[2]; // [batch, n_a] a (LSTM: a, c). in: before the first step; out: after each sequence's last step
    float *c;        // [N, n_a] out, LSTM with train: c_t
    float *relevant; // GRU with train: [N, n_a] out: gamma_r * c_prev; GRU without train: scratch [batch, n_a]
    float *work;     // scratch, unrolled_work() floats
} unrolled_forward;

typedef struct {
    unrolled_sequences of;
    const float *gates, *a, *c; // results of the forward call
    const float *state[2]; // [batch, n_a] before the first step
    const float *d_a;      // [N, n_a] gradient of a
    float *d_state[2];     // [batch, n_a] in: gradient of the state after; out: of the state before
    float *d_gates;        // [N, row] out: gradient of W[a_prev, x] + b
    float *d_b;            // [row] out: gradient of b
    const float *x;        // [N, inputs] of each row
    float *stacked;        // [N, n_a + inputs] out: a_prev and x of each row; d_gates^T stacked is the gradient of W
    int64_t inputs;
    float *work;
} unrolled_backward;

int64_t unrolled_version(void); // version of this interface; the caller must not use a library of another version
int64_t unrolled_width(void);   // W
int64_t unrolled_cpu(void);     // 1 if this CPU has the library's instruction set. Only this function runs on any CPU

// Number of floats of scratch memory that the forward or backward call needs.
int64_t unrolled_work(int64_t cell, int64_t batch, int64_t units, int64_t threads);

// Run whole sequences; see the structures. A call with an unknown cell or without steps does nothing.
void unrolled_run_forward(const unrolled_forward *call);
void unrolled_run_backward(const unrolled_backward *call);

// ---- Cross-entropy of a softmax over n outputs, with its gradient in place.

typedef struct {
    int64_t threads, rows, outputs;
    int64_t train;       // 0: only nats are needed, and z is not changed
    float *z;            // [rows, outputs] in: W a; out, with train: softmax(z + b), minus 1 at the target
    const float *b;      // [outputs]
    const int64_t *y;    // [rows] targets, each 0 to outputs - 1
    float *nats;         // [rows] out: -log softmax(z + b) at the target
    float *d_b;          // [outputs] out, with train: the sum of the rows of z
    float *work;         // scratch, threads * outputs floats
} unrolled_entropy;

void unrolled_cross_entropy(const unrolled_entropy *call);

// ---- Single steps, for inference: all layers and the output layer in one call.
//
// unrolled_pack packs the weights once, as float32, or as int8 with one scale per row of the matrix. With int8, the
// left operand is also rounded to int8 at each step, with one scale per row, and the sums are exact. The result of a
// row has the same bits in any batch.
//
// `lanes` has the same values as `row` above, but interleaved, so that values that are used together are adjacent: for
// each vector of units, W units of each gate of the group; the last vector may have fewer units.
//     LSTM [vectors][u f c o][W]   simplified GRU [vectors][c u][W]   RNN [vectors][a][W]
//     GRU  [vectors][r u][W], then [vectors][c][W], because its candidate multiplies another left operand

typedef struct {
    int64_t cell, rows, units, inputs;
    int64_t bits;          // 32 or 8
    const void *W_a[2];    // packed [lanes, n_a], of the first gates and (GRU) of the candidate
    const void *W_x[2];    // packed [lanes, inputs]; NULL: the table contains W_x x
    const float *b;        // [lanes]
    const float *table;    // [lines, lanes] W_x x of each id; with W_x: [lines, inputs] x of each id; NULL: x is used
    const int64_t *ids;    // [rows] lines of the table; a negative id is the vector of zeros
    int64_t lines;         // number of lines of the table
    const float *x;        // [rows, inputs] if there is no table. May be state[0] of the layer below
    float *state[2];       // [rows, n_a] in: before the step; out: after it
    float zoneout;         // as in unrolled_sequences
    float *work;           // scratch, unrolled_step_work() floats, shared by the layers and the head
} unrolled_layer;

typedef struct {
    int64_t rows, inputs, outputs, bits;
    int64_t normalise;   // 1: log softmax
    int64_t k;           // return the k largest outputs, largest first, ties in order of id; 0: all
    const void *W;       // packed [outputs, inputs]
    const float *b;      // [outputs]
    const float *x;      // [rows, inputs]
    float *y;            // [rows, outputs] out; scratch if k > 0
    float *best;         // [rows, k] out
    int64_t *ids;        // [rows, k] out
    float *work;
} unrolled_head;

// Number of bytes of a packed [rows, K] matrix; and pack the matrix M, whose leading dimension is ld.
int64_t unrolled_packed(int64_t rows, int64_t K, int64_t bits);
void unrolled_pack(int64_t rows, int64_t K, const float *M, int64_t ld, int64_t bits, void *packed);

typedef struct {
    const unrolled_layer *layers; // [count], from the lowest to the highest
    int64_t count;
    const unrolled_head *head;    // runs after the layers; may be NULL
    int64_t threads;
    int64_t back;                 // must be 0 at first; the kernel stores here in which direction it reads the weights
} unrolled_steps;

// Number of floats of scratch memory that the layers and the head need. units, inputs: the largest of all layers.
int64_t unrolled_step_work(int64_t rows, int64_t units, int64_t inputs, int64_t threads);
// Run one step. Return 0. If an id is not in its table, do nothing and return 1.
int64_t unrolled_step(unrolled_steps *call);

// Use the threads of the OpenMP runtime of the process. The arguments are pointers to its functions GOMP_parallel,
// omp_get_num_threads and omp_get_thread_num. Before this call, or with NULL, every call runs on the caller's thread.
void unrolled_use_threads(void (*parallel)(void (*)(void *), void *, unsigned, unsigned), int (*team)(void),
                          int (*me)(void));

// Set whether numbers below 2^-126 are treated as zeros, in this and all other code. An operation on such a number
// takes a hundred times as long. This applies to the calling thread and `threads` threads of the OpenMP runtime.
// Return the previous setting of the calling thread.
int64_t unrolled_flush_denormals(int64_t on, int64_t threads);

// sigmoid and tanh of x [n], for tests. x and y may be the same array.
void unrolled_sigmoid(int64_t n, const float *x, float *y);
void unrolled_tanh(int64_t n, const float *x, float *y);

#ifdef __cplusplus
}
#endif
