// The MATRIX engine: takes MATMUL instructions, whose fields and semaphores have been checked, and
// retires them in order. It reads its operands and writes its results as docs/contract.md lays them
// out, in the cycles of accelerator/contract/src/timing.
//
// An instruction starts in the cycle of cmd_valid_i and cmd_ready_o; cmd_ready_o rises `issue`
// cycles later and retire_o `latency` cycles later, when everything it has written can be read.
// Data of a read is valid two cycles after the cycle of its ren; a write is done in the cycle of
// its wen, and there is no way to hold one up.
module fqbert_matrix
  import fqbert_matrix_pkg::*;
#(
  parameter int unsigned ROWS  = 4,
  parameter int unsigned PAIRS = 4,
  parameter int unsigned LANES = 8
) (
  input  logic                                                   clk_i,
  input  logic                                                   rst_ni,

  input  logic                                                   cmd_valid_i,
  output logic                                                   cmd_ready_o,
  input  fqbert_pkg::instruction_t                               cmd_i,
  output logic                                                   retire_o,

  // Activation side.
  output logic                                                   act_ren_o,
  output logic [15:0]                                            act_raddr_o,
  input  logic [ROWS*LANES*8-1:0]                                act_rdata_i,
  output logic                                                   prb_ren_o,
  output logic [15:0]                                            prb_raddr_o,
  input  logic [ROWS*LANES*8-1:0]                                prb_rdata_i,
  // Weight side: one address for all slots.
  output logic [fqbert_pkg::WEIGHT_SLOTS-1:0]                    wgt_ren_o,
  output logic [15:0]                                            wgt_raddr_o,
  input  logic [fqbert_pkg::WEIGHT_SLOTS-1:0][PAIRS*LANES*8-1:0] wgt_rdata_i,
  output logic                                                   opd_ren_o,
  output logic [15:0]                                            opd_raddr_o,
  input  logic [PAIRS*LANES*8-1:0]                               opd_rdata_i,
  // Requantization parameters.
  output logic                                                   par_ren_o,
  output logic [15:0]                                            par_raddr_o,
  input  logic [127:0]                                           par_rdata_i,
  // GEL, which is in the engine: LOAD writes it.
  input  logic                                                   gel_wen_i,
  input  logic [15:0]                                            gel_waddr_i,
  input  logic [127:0]                                           gel_wdata_i,

  // Results.
  output logic                                                   act_wen_o,
  output logic [15:0]                                            act_waddr_o,
  output logic [ROWS*LANES*8-1:0]                                act_wdata_o,
  output logic [ROWS*LANES-1:0]                                  act_wbe_o,
  output logic                                                   resb_wen_o,
  output logic [15:0]                                            resb_waddr_o,
  output logic [ROWS*32-1:0]                                     resb_wdata_o,
  output logic [ROWS*4-1:0]                                      resb_wbe_o,
  output logic                                                   scr_wen_o,
  output logic [15:0]                                            scr_waddr_o,
  output logic [ROWS*16-1:0]                                     scr_wdata_o,
  output logic [ROWS*2-1:0]                                      scr_wbe_o,
  output logic [PAIRS-1:0]                                       opd_wen_o,
  output logic [PAIRS-1:0][15:0]                                 opd_waddr_o,
  output logic [PAIRS-1:0][LANES*8-1:0]                          opd_wdata_o,
  output logic [PAIRS-1:0][LANES-1:0]                            opd_wbe_o
);

  // From a chunk's read to the array.
  localparam int unsigned INTAKE = MEMORY_CYCLES + OPERAND_CYCLES;
  // From a part's last read to its capture, in which the last lane's P holds it.
  localparam int unsigned CAPTURE = INTAKE + SLICE_CYCLES + LANES - 1;

  // Reading.
  logic        ren, first, context_valid;
  logic [15:0] a_addr, b_addr;
  source_t     source;
  part_t       part;
  context_t    context_new;

  fqbert_matrix_read #(.ROWS(ROWS), .PAIRS(PAIRS), .LANES(LANES)) u_read (
    .clk_i, .rst_ni,
    .cmd_valid_i, .cmd_ready_o, .cmd_i(fqbert_pkg::matmul_t'(cmd_i)),
    .context_valid_o(context_valid), .context_o(context_new),
    .ren_o(ren), .a_addr_o(a_addr), .b_addr_o(b_addr),
    .source_o(source), .first_o(first), .part_o(part)
  );

  assign act_ren_o   = ren && !source.a_probs;
  assign prb_ren_o   = ren && source.a_probs;
  assign opd_ren_o   = ren && source.b_opd;
  assign act_raddr_o = a_addr;
  assign prb_raddr_o = a_addr;
  assign wgt_raddr_o = b_addr;
  assign opd_raddr_o = b_addr;
  always_comb begin
    wgt_ren_o = '0;
    wgt_ren_o[source.b_slot] = ren && !source.b_opd;
  end

  // Summing.
  logic [ROWS-1:0][LANES-1:0][7:0]  a;
  logic [PAIRS-1:0][LANES-1:0][7:0] b;
  source_t                          source_read, source_array;
  logic                             first_array;
  part_t                            part_arriving;
  logic                             capture;
  logic [ROWS-1:0][PAIRS-1:0][47:0] shadow;

  fqbert_delay #(.WIDTH($bits(source_t)), .CYCLES(MEMORY_CYCLES)) u_source_read (
    .clk_i, .data_i(source), .data_o(source_read)
  );
  fqbert_delay #(.WIDTH($bits(source_t)), .CYCLES(OPERAND_CYCLES)) u_source_array (
    .clk_i, .data_i(source_read), .data_o(source_array)
  );
  fqbert_delay #(.WIDTH(1), .CYCLES(INTAKE)) u_first (.clk_i, .data_i(first), .data_o(first_array));

  fqbert_operands #(.ROWS(ROWS), .PAIRS(PAIRS), .LANES(LANES)) u_operands (
    .clk_i, .source_i(source_read),
    .act_i(act_rdata_i), .prb_i(prb_rdata_i), .wgt_i(wgt_rdata_i), .opd_i(opd_rdata_i),
    .a_o(a), .b_o(b)
  );

  fqbert_marker_delay #(.WIDTH($bits(part_t)), .CYCLES(CAPTURE - 1)) u_arriving (
    .clk_i, .rst_ni, .marker_i(part), .marker_o(part_arriving)
  );
  fqbert_marker_delay #(.WIDTH(1), .CYCLES(1)) u_capture (
    .clk_i, .rst_ni, .marker_i(part_arriving.valid), .marker_o(capture)
  );

  fqbert_array #(.ROWS(ROWS), .PAIRS(PAIRS), .LANES(LANES)) u_array (
    .clk_i, .a_i(a), .a_unsigned_i(source_array.a_probs), .b_i(b), .mode8_i(source_array.mode8),
    .first_i(first_array), .capture_i(capture), .shadow_o(shadow)
  );

  // Draining.
  context_t   context_drain;
  key_place_t key_drain;
  logic       pop;
  step_t      step; // x, of DRAIN_CYCLES

  fqbert_inflight #(.ROWS(ROWS), .PAIRS(PAIRS), .LANES(LANES)) u_inflight (
    .clk_i, .rst_ni,
    .push_i(context_valid), .context_i(context_new),
    .pop_i(pop), .context_o(context_drain), .key_o(key_drain)
  );

  fqbert_drain #(.ROWS(ROWS), .PAIRS(PAIRS), .LANES(LANES)) u_drain (
    .clk_i, .rst_ni,
    .part_i(part_arriving), .context_i(context_drain), .key_i(key_drain), .pop_o(pop),
    .par_ren_o, .par_addr_o(par_raddr_o), .step_o(step)
  );

  // The step at x + 1, where its parameters arrive; x + 2, where its sums do; x + 6, where results
  // are one cycle away.
  step_t step1, step2, step6, step6_data;
  logic  write6;
  fqbert_delay #(.WIDTH($bits(step_t)), .CYCLES(1)) u_step1 (.clk_i, .data_i(step), .data_o(step1));
  fqbert_delay #(.WIDTH($bits(step_t)), .CYCLES(1)) u_step2 (
    .clk_i, .data_i(step1), .data_o(step2)
  );
  fqbert_delay #(.WIDTH($bits(step_t)), .CYCLES(4)) u_step6 (
    .clk_i, .data_i(step2), .data_o(step6_data)
  );
  fqbert_marker_delay #(.WIDTH(1), .CYCLES(6)) u_write (
    .clk_i, .rst_ni, .marker_i(step.write), .marker_o(write6)
  );
  always_comb begin
    step6       = step6_data;
    step6.write = write6;
  end

  logic signed [ROWS-1:0][1:0][29:0] sums;   // x + 2
  logic signed [ROWS-1:0][1:0][26:0] values; // x + 2
  logic [1:0][31:0]                  bias;
  logic [1:0][15:0]                  multiplier;
  logic [1:0][47:0]                  rounding;
  logic [1:0][5:0]                   shift;
  logic                              wide;

  fqbert_join #(.ROWS(ROWS), .PAIRS(PAIRS)) u_join (
    .clk_i, .shadow_i(shadow), .column_i(step.column), .mode8_i(step.mode8), .sums_o(sums)
  );

  fqbert_requant_params u_params (
    .clk_i, .uniform_i(step1.uniform), .word_i(par_rdata_i),
    .bias_o(bias), .multiplier_o(multiplier), .rounding_o(rounding), .shift_o(shift)
  );

  fqbert_partial_sums #(.ROWS(ROWS), .PAIRS(PAIRS)) u_partial_sums (
    .clk_i, .column_i(step1.column),
    .store_i(step2.valid && !step2.part_last), .first_i(step2.part_first), .bias_i(bias),
    .sums_i(sums), .values_o(values)
  );

  assign wide = step6.dest == fqbert_pkg::MATMUL_DEST_RESB;

  logic [ROWS-1:0][1:0][15:0] results; // x + 7
  logic [ROWS-1:0][1:0][7:0]  codes;
  for (genvar r = 0; r < ROWS; r++) begin : gen_row
    for (genvar n = 0; n < 2; n++) begin : gen_channel
      fqbert_requant u_requant (
        .clk_i, .value_i(values[r][n]), .multiplier_i(multiplier[n]), .rounding_i(rounding[n]),
        .shift_i(shift[n]), .wide_i(wide), .result_o(results[r][n])
      );
      assign codes[r][n] = results[r][n][7:0];
    end
  end

  // Writing: x + 8.
  logic [15:0] waddr;
  fqbert_matrix_write #(.ROWS(ROWS), .LANES(LANES)) u_write_rows (
    .clk_i, .rst_ni, .step_i(step6), .results_i(results),
    .gel_wen_i, .gel_waddr_i(gel_waddr_i[4:0]), .gel_wdata_i,
    .act_wen_o, .resb_wen_o, .scr_wen_o, .waddr_o(waddr),
    .act_wdata_o, .act_wbe_o, .resb_wdata_o, .scr_wdata_o
  );
  assign act_waddr_o  = waddr;
  assign resb_waddr_o = waddr;
  assign scr_waddr_o  = waddr;
  assign resb_wbe_o   = '1;
  assign scr_wbe_o    = '1;

  fqbert_operand_write #(.ROWS(ROWS), .PAIRS(PAIRS), .LANES(LANES)) u_write_operands (
    .clk_i, .rst_ni, .step_i(step6), .results_i(codes),
    .wen_o(opd_wen_o), .waddr_o(opd_waddr_o), .wdata_o(opd_wdata_o), .wbe_o(opd_wbe_o)
  );

  fqbert_marker_delay #(.WIDTH(1), .CYCLES(DRAIN_CYCLES + 1)) u_retire (
    .clk_i, .rst_ni, .marker_i(step.last), .marker_o(retire_o)
  );

  logic unused_bits;
  assign unused_bits = ^{gel_waddr_i[15:5], source_array, step1, step2, step6};

endmodule
