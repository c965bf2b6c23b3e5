// Where token row_tile0 * R of an instruction lies among the keys: pair (token mod C), and word of
// its key tile, dst_base + (token / C) * dst_stride. Quotient and remainder are a table and the
// product a sum in LUTs: it is wanted once an instruction, three cycles after the request, and is
// not worth a DSP.
module fqbert_key_origin
  import fqbert_matrix_pkg::*;
#(
  parameter int unsigned ROWS  = 4,
  parameter int unsigned PAIRS = 4
) (
  input  logic        clk_i,
  input  logic [7:0]  row_tile0_i,
  input  logic [15:0] dst_base_i,
  input  logic [15:0] dst_stride_i,
  output key_place_t  place_o // three cycles later
);

  localparam int unsigned QUOTIENT = $clog2(255 * ROWS / PAIRS + 1);
  localparam int unsigned SPLIT = QUOTIENT / 2;

  typedef struct packed {
    logic [QUOTIENT-1:0] quotient;
    logic [7:0]          remainder;
  } division_t;
  typedef division_t [255:0] table_t;

  function automatic table_t divisions();
    table_t t;
    for (int unsigned i = 0; i < 256; i++) begin
      t[i].quotient  = QUOTIENT'(i * ROWS / PAIRS);
      t[i].remainder = 8'(i * ROWS % PAIRS);
    end
    return t;
  endfunction
  localparam table_t DIVISIONS = divisions();

  // Bits low..high-1 of the quotient, times the stride, modulo the width of an address.
  function automatic logic [15:0] product(logic [QUOTIENT-1:0] quotient, logic [15:0] stride,
                                          int unsigned low, int unsigned high);
    logic [15:0] sum;
    sum = '0;
    for (int unsigned i = low; i < high; i++) if (quotient[i]) sum = sum + (stride << i);
    return sum;
  endfunction

  division_t   division_q;
  logic [15:0] base_q, base2_q, stride_q, low_q, high_q;
  logic [7:0]  pair_q;

  always_ff @(posedge clk_i) begin
    division_q <= DIVISIONS[row_tile0_i];
    base_q     <= dst_base_i;
    stride_q   <= dst_stride_i;

    low_q      <= product(division_q.quotient, stride_q, 0, SPLIT);
    high_q     <= product(division_q.quotient, stride_q, SPLIT, QUOTIENT);
    base2_q    <= base_q;
    pair_q     <= division_q.remainder;

    place_o    <= '{word: base2_q + low_q + high_q, pair: pair_q};
  end

endmodule
