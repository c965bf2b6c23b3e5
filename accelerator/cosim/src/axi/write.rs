//! The write channels of the control port.

use std::collections::VecDeque;

use fqbert_simulated::AxiFault;

use super::check::{self, Channel};
use super::{BEAT, Shared, Traffic, response};
use crate::model::{Model, Port};

struct Burst {
    address: u64,
    beats: u64,
    taken: u64,
    fault: Option<AxiFault>,
}

/// AW, W and B.
pub(crate) struct WritePort {
    awvalid: Port,
    awready: Port,
    awaddr: Port,
    awlen: Port,
    wvalid: Port,
    wready: Port,
    wdata: Port,
    wlast: Port,
    bvalid: Port,
    bready: Port,
    bresp: Port,
    bursts: VecDeque<Burst>,
    /// Responses to give, with their first cycle.
    responses: VecDeque<(u64, Option<AxiFault>)>,
    offered: bool,
    aw: Channel,
    w: Channel,
    /// Of this cycle.
    address: Option<(u64, u64)>,
    address_ready: bool,
    beat: Option<([u8; BEAT], bool)>,
    beat_ready: bool,
    response_taken: bool,
}

impl WritePort {
    pub(crate) fn new(model: &Model) -> Self {
        let port = |name: &str| model.port(&format!("ctl_{name}"));
        Self {
            awvalid: port("awvalid_o"),
            awready: port("awready_i"),
            awaddr: port("awaddr_o"),
            awlen: port("awlen_o"),
            wvalid: port("wvalid_o"),
            wready: port("wready_i"),
            wdata: port("wdata_o"),
            wlast: port("wlast_o"),
            bvalid: port("bvalid_i"),
            bready: port("bready_o"),
            bresp: port("bresp_i"),
            bursts: VecDeque::new(),
            responses: VecDeque::new(),
            offered: false,
            aw: Channel::default(),
            w: Channel::default(),
            address: None,
            address_ready: false,
            beat: None,
            beat_ready: false,
            response_taken: false,
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.open() == 0 && self.address.is_none()
    }

    pub(crate) fn open(&self) -> usize {
        self.bursts.len() + self.responses.len()
    }

    pub(crate) fn drive(&mut self, model: &mut Model, shared: &mut Shared<'_>) {
        self.address = model
            .is_high(self.awvalid)
            .then(|| (model.get(self.awaddr), model.get(self.awlen) + 1));
        self.address_ready = !shared.stall.now();
        model.set(self.awready, u64::from(self.address_ready));

        self.beat = model.is_high(self.wvalid).then(|| {
            let mut data = [0; BEAT];
            data.copy_from_slice(model.bytes(self.wdata));
            (data, model.is_high(self.wlast))
        });
        self.beat_ready = !shared.stall.now() && (self.beat.is_none() || shared.bandwidth.take());
        model.set(self.wready, u64::from(self.beat_ready));

        if let Some((ready_at, fault)) = self.responses.front() {
            self.offered |= *ready_at <= shared.now && !shared.stall.now();
            model.set(self.bresp, response(*fault));
        }
        model.set(self.bvalid, u64::from(self.offered));
        self.response_taken = self.offered && model.is_high(self.bready);
    }

    pub(crate) fn commit(
        &mut self,
        shared: &mut Shared<'_>,
        traffic: &mut Traffic,
        found: &mut Vec<String>,
    ) {
        let mut payload = [0; 16];
        if let Some((address, beats)) = self.address {
            payload[..8].copy_from_slice(&address.to_le_bytes());
            payload[8..].copy_from_slice(&beats.to_le_bytes());
        }
        self.aw.cycle(
            "ctl AW",
            self.address.is_some(),
            self.address_ready,
            &payload,
            found,
        );
        let mut payload = [0; BEAT + 1];
        if let Some((data, last)) = self.beat {
            payload[..BEAT].copy_from_slice(&data);
            payload[BEAT] = u8::from(last);
        }
        self.w.cycle(
            "ctl W",
            self.beat.is_some(),
            self.beat_ready,
            &payload,
            found,
        );

        // Data goes to the oldest burst whose data is not complete, which this device addresses
        // before.
        if let Some((data, last)) = self.beat.filter(|_| self.beat_ready) {
            self.take(&data, last, shared, traffic, found);
        }
        if let Some((address, beats)) = self.address.filter(|_| self.address_ready) {
            check::burst("ctl AW", address, beats, found);
            let end = address.saturating_add(beats * BEAT as u64);
            traffic.start = traffic.start.min(address);
            traffic.end = traffic.end.max(end);
            traffic.write_start = traffic.write_start.min(address);
            traffic.write_end = traffic.write_end.max(end);
            self.bursts.push_back(Burst {
                address,
                beats,
                taken: 0,
                fault: None,
            });
            self.address = None;
        }
        if self.response_taken {
            self.responses.pop_front();
            self.offered = false;
        }
    }

    fn take(
        &mut self,
        data: &[u8; BEAT],
        last: bool,
        shared: &mut Shared<'_>,
        traffic: &mut Traffic,
        found: &mut Vec<String>,
    ) {
        let Some(burst) = self.bursts.front_mut() else {
            found.push("ctl W: data without an address".to_owned());
            return;
        };
        let address = burst.address + burst.taken * BEAT as u64;
        let fault = shared.ddr.write(address, data).err();
        burst.fault = burst.fault.or(fault);
        burst.taken += 1;
        traffic.beats_written += 1;
        if last != (burst.taken == burst.beats) {
            found.push(format!(
                "ctl W: last is {last} on beat {} of {}",
                burst.taken, burst.beats
            ));
        }
        if burst.taken == burst.beats {
            let ready_at = shared.now + shared.memory.response() + shared.stall.jitter();
            self.responses.push_back((ready_at, burst.fault));
            self.bursts.pop_front();
        }
    }
}
