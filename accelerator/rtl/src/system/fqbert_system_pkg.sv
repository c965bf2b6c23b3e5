// Types that the modules of the system share: queue entries, faults, the window, and the beats that
// LOAD writes and STORE reads.
/* verilator lint_off UNUSEDPARAM */
package fqbert_system_pkg;
  import fqbert_pkg::*;
  import fqbert_axi_pkg::BEAT_BITS;

  // Queues in the order of the timing model; unit index in the counter registers is one more.
  localparam int unsigned QUEUES = 7;
  localparam int unsigned QUEUE_MATRIX = 4;
  localparam int unsigned QUEUE_VECTOR = 5;
  localparam int unsigned QUEUE_STORE = 6;
  localparam int unsigned UNITS = QUEUES + 1;

  // Instructions of one queue that may be between start and retirement.
  localparam int unsigned IN_FLIGHT = 64;
  // Bursts a read port or the write port may have open.
  localparam int unsigned OPEN_BURSTS = 32;

  // An instruction with its place in the program.
  typedef struct packed {
    logic [15:0]  index;
    instruction_t word;
  } entry_t;

  // A fault: the index is a count of instructions for NO_END, so it needs 17 bits.
  typedef struct packed {
    fault_e      cause;
    logic [16:0] index;
    logic [63:0] address;
  } fault_t;

  // DMA may touch base <= address < limit.
  typedef struct packed {
    logic [63:0] base;
    logic [63:0] limit;
  } window_t;

  // One beat on its way into an on-chip memory: `slice` counts the beats of a word.
  typedef struct packed {
    memory_e              memory;
    logic [15:0]          address;
    logic [3:0]           slice;
    logic [BEAT_BITS-1:0] data;
  } beat_write_t;

  // A beat that STORE wants of an on-chip memory.
  typedef struct packed {
    memory_e     memory;
    logic [15:0] address;
    logic [3:0]  slice;
  } beat_read_t;

  // The geometries by number, for tools that give modules only integers.
  function automatic geometry_t preset(int unsigned number);
    case (number)
      1: return GEOMETRY_PAPER;
      2: return GEOMETRY_ZCU102;
      3: return GEOMETRY_ZCU111;
      default: return GEOMETRY_TINY;
    endcase
  endfunction

  // Beats of a memory's word; 1 where a transfer is illegal anyway.
  function automatic int unsigned word_beats(geometry_t g, memory_e memory);
    automatic int unsigned beats = word_bytes(g, memory) / BEAT_BYTES;
    return beats == 0 ? 1 : beats;
  endfunction

endpackage
/* verilator lint_on UNUSEDPARAM */
