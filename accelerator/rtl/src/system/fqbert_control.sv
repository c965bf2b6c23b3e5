// The life of a run: doorbell, end, fault, soft reset. The first fault stops everything at once and
// is reported when the last open AXI burst has ended; a soft reset stops everything at any moment
// and ends likewise.
module fqbert_control
  import fqbert_pkg::*;
  import fqbert_system_pkg::*;
#(
  parameter int unsigned SOURCES = 2
) (
  input  logic               clk_i,
  input  logic               rst_ni,

  input  logic               doorbell_i,
  // Level, from the request until reset_done_o.
  input  logic               reset_i,
  output logic               reset_done_o,

  input  logic               ended_i,
  // In order of priority, the first the highest.
  input  logic [SOURCES-1:0] fault_valid_i,
  input  fault_t [SOURCES-1:0] fault_i,
  // Every AXI master has no burst open.
  input  logic               idle_i,

  output logic               run_o,
  // In the first cycle of a run.
  output logic               start_o,
  // Counters and semaphores begin anew.
  output logic               clear_o,
  output logic               busy_o,
  output logic               done_o,
  output logic               faulted_o,
  output logic               doorbell_accepted_o,
  output logic               doorbell_ignored_o,
  output logic               done_event_o,
  output logic               fault_event_o,

  output fault_t             fault_o,
  output logic [63:0]        cycles_o,
  output logic [31:0]        runs_completed_o,
  output logic [31:0]        runs_faulted_o
);

  typedef enum logic [2:0] {
    IDLE,      // no program, DONE or FAULT in done_q and faulted_q
    RUN,
    FAULTING,  // waits for open bursts
    RESETTING, // waits for open bursts
    RESET_END  // the request is taken back
  } state_e;

  state_e state_q;
  logic   done_q, faulted_q, start_q;
  fault_t fault_q;

  logic   any_fault;
  fault_t first_fault;
  always_comb begin
    any_fault = 1'b0;
    first_fault = '{cause: FAULT_NONE, index: '0, address: '0};
    for (int unsigned s = SOURCES; s > 0; s--) begin
      if (fault_valid_i[s-1]) begin
        any_fault = 1'b1;
        first_fault = fault_i[s-1];
      end
    end
  end

  logic accepted, completed, stopped;
  assign accepted  = doorbell_i && state_q == IDLE && !faulted_q && !reset_i;
  assign completed = state_q == RUN && !reset_i && !any_fault && ended_i;
  assign stopped   = state_q == FAULTING && !reset_i && idle_i;

  assign run_o     = state_q == RUN;
  assign start_o   = start_q;
  assign clear_o   = accepted || reset_i || !rst_ni;
  assign busy_o    = state_q == RUN || state_q == FAULTING;
  assign done_o    = done_q;
  assign faulted_o = faulted_q;
  assign doorbell_accepted_o = accepted;
  assign doorbell_ignored_o  = doorbell_i && !accepted && !reset_i;
  assign done_event_o  = completed;
  assign fault_event_o = stopped;
  assign reset_done_o  = state_q == RESET_END;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q   <= IDLE;
      done_q    <= 1'b0;
      faulted_q <= 1'b0;
      start_q   <= 1'b0;
    end else begin
      start_q <= accepted;
      case (state_q)
        IDLE: if (accepted) state_q <= RUN;
        RUN: begin
          if (any_fault) state_q <= FAULTING;
          else if (completed) state_q <= IDLE;
        end
        FAULTING: if (stopped) state_q <= IDLE;
        RESETTING: if (idle_i) state_q <= RESET_END;
        default: state_q <= IDLE;
      endcase
      if (reset_i && state_q != RESETTING && state_q != RESET_END) state_q <= RESETTING;

      if (reset_i || accepted) begin
        done_q    <= 1'b0;
        faulted_q <= 1'b0;
      end else begin
        if (completed) done_q <= 1'b1;
        if (stopped) faulted_q <= 1'b1;
      end
    end
  end

  // Cycle 0 of a run is the one in which it starts; CYCLES is the cycle in which END retires.
  always_ff @(posedge clk_i) begin
    if (clear_o) cycles_o <= '0;
    else if (state_q == RUN && !completed && !any_fault) cycles_o <= cycles_o + 64'd1;

    if (clear_o) fault_q <= '{cause: FAULT_NONE, index: '0, address: '0};
    else if (state_q == RUN && any_fault) fault_q <= first_fault;

    if (reset_i || !rst_ni) begin
      runs_completed_o <= '0;
      runs_faulted_o   <= '0;
    end else begin
      runs_completed_o <= runs_completed_o + 32'(completed);
      runs_faulted_o   <= runs_faulted_o + 32'(stopped);
    end
  end

  // Software sees a fault when it is final.
  assign fault_o = faulted_q ? fault_q : '{cause: FAULT_NONE, index: '0, address: '0};

endmodule
