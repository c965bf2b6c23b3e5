// The ports of the on-chip memories without their data, whose width is a matter of the geometry.
package fqbert_memory_pkg;

  // A read, whose data is there two cycles later, or a write.
  typedef struct packed {
    logic        enable;
    logic [15:0] address;
  } access_t;

  // All that the MATRIX engine reads and writes but OPD's banks, whose number is the geometry's.
  typedef struct packed {
    access_t                             act_read;
    access_t                             prb_read;
    logic [fqbert_pkg::WEIGHT_SLOTS-1:0] wgt_slots; // which of them is read
    logic [15:0]                         wgt_address;
    access_t                             opd_read;
    access_t                             par_read;
    access_t                             act_write;
    access_t                             resb_write;
    access_t                             scr_write;
  } matrix_access_t;

  // All that the VECTOR engine reads and writes.
  typedef struct packed {
    access_t scr_read;
    access_t resx_read;
    access_t resb_read;
    access_t rng_read;
    access_t lnp_read;
    access_t prb_write;
    access_t resx_write;
    access_t act_write;
  } vector_access_t;

  // LOAD's writes of the tables that lie in the engines' lanes.
  typedef struct packed {
    logic                                gel_enable;
    logic                                exp_enable;
    logic [15:0]                         address;
    logic [8*fqbert_pkg::BEAT_BYTES-1:0] data;
  } table_write_t;

endpackage
