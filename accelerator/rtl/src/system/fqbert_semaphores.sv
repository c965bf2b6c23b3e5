// The 31 semaphores between queues: counts, which queues' heads may start, and overflow. What a
// retiring instruction raises counts in the same cycle, so a waiting one starts in the cycle of the
// retirement.
module fqbert_semaphores
  import fqbert_pkg::*;
  import fqbert_system_pkg::*;
(
  input  logic                              clk_i,
  input  logic                              clear_i,

  input  logic [QUEUES-1:0]                 raise_i,
  input  logic [QUEUES-1:0][2:0][4:0]       raise_ids_i,

  input  logic [QUEUES-1:0][2:0][4:0]       wait_ids_i,
  output logic [QUEUES-1:0]                 granted_o,
  input  logic [QUEUES-1:0]                 take_i,

  // Queues whose retiring instruction raises a semaphore above its maximum.
  output logic [QUEUES-1:0]                 overflow_o,
  output logic [SEMAPHORES-1:0][7:0]        counts_o
);

  logic [SEMAPHORES-1:0][7:0] counts_q, counts_d;
  logic [SEMAPHORES-1:0][8:0] now;
  logic [SEMAPHORES-1:0]      over;

  // Semaphore 0 is "none" and stays at 0. Sums are of at most 21 fields.
  always_comb begin
    now = '0;
    over = '0;
    for (int unsigned id = 1; id < SEMAPHORES; id++) begin
      now[id] = 9'(counts_q[id]);
      for (int unsigned q = 0; q < QUEUES; q++) begin
        for (int unsigned k = 0; k < 3; k++) begin
          now[id] += 9'(raise_i[q] && raise_ids_i[q][k] == 5'(id));
        end
      end
      over[id] = now[id] > 9'(SEMAPHORE_MAX);
    end
  end

  always_comb begin
    overflow_o = '0;
    for (int unsigned q = 0; q < QUEUES; q++) begin
      for (int unsigned k = 0; k < 3; k++) begin
        if (raise_i[q] && over[raise_ids_i[q][k]]) overflow_o[q] = 1'b1;
      end
    end
  end

  // The same semaphore may be waited for more than once: each wait takes a count of its own.
  always_comb begin
    for (int unsigned q = 0; q < QUEUES; q++) begin
      granted_o[q] = 1'b1;
      for (int unsigned k = 0; k < 3; k++) begin
        automatic logic [1:0] needed = 2'd0;
        for (int unsigned other = 0; other < 3; other++) begin
          needed += 2'(wait_ids_i[q][other] == wait_ids_i[q][k]);
        end
        if (wait_ids_i[q][k] != 0 && now[wait_ids_i[q][k]] < 9'(needed)) granted_o[q] = 1'b0;
      end
    end
  end

  // A semaphore has one consumer queue (the program verifier sees to it); a count never goes below
  // 0 even if it has more.
  always_comb begin
    counts_d = '0;
    for (int unsigned id = 1; id < SEMAPHORES; id++) begin
      automatic logic [8:0] taken = '0;
      for (int unsigned q = 0; q < QUEUES; q++) begin
        for (int unsigned k = 0; k < 3; k++) begin
          taken += 9'(take_i[q] && wait_ids_i[q][k] == 5'(id));
        end
      end
      if (over[id]) counts_d[id] = 8'(SEMAPHORE_MAX);
      else if (now[id] < taken) counts_d[id] = '0;
      else counts_d[id] = 8'(now[id] - taken);
    end
  end

  always_ff @(posedge clk_i) begin
    if (clear_i) counts_q <= '0;
    else counts_q <= counts_d;
  end

  assign counts_o = counts_q;

endmodule
