//! What one delivery of records needs beside each record to judge it, and what it leaves to be said at its
//! end. Runs inside the intake's transaction.

use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{DeviceId, UserId, VisitId};
use endcheck_protocol::record::{Act, Record};
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::visit::Visit;

use super::findings::{self, NewFinding, Subject};
use super::observe::{self, Fixed, GAP, Hole, MISSING, Sighting, elsewhere, filled, seen_elsewhere};
use super::{neighbours, store};
use crate::accounts::{self, Camera};
use crate::db::Conn;
use crate::error::Result;

/// What a delivery keeps in mind from record to record.
pub(super) struct Watch {
    /// Holes in the device's chain that findings told of.
    holes: Vec<Hole>,
    /// The device's cameras, once a photo asked for them.
    cameras: Option<Vec<Camera>>,
    /// Visits that records of this delivery belong to, and the zone of their sites.
    touched: BTreeMap<VisitId, Option<Tz>>,
}

/// What lies beside a record.
pub(super) struct Beside {
    pub fixed: Option<Fixed>,
    pub neighbours: Vec<Fixed>,
    pub cameras: Vec<Camera>,
}

impl Watch {
    pub fn of(conn: &mut Conn, device: &DeviceId) -> Result<Self> {
        let told = findings::told_of(conn, device, &[GAP, MISSING])?;
        let holes = told
            .into_iter()
            .filter_map(|told| Hole::told(told.visit, told.record, &told.signal, &told.values))
            .collect();
        Ok(Self { holes, cameras: None, touched: BTreeMap::new() })
    }

    /// Looks up what lies beside a record that is kept already, and keeps its own fix for later ones.
    pub fn beside(
        &mut self,
        conn: &mut Conn,
        subject: Subject<'_>,
        record: &Record,
        holder: &UserId,
    ) -> Result<Beside> {
        let fixed = neighbours::fixed(subject.record, record);
        let neighbours = match &fixed {
            None => Vec::new(),
            Some(fixed) => {
                neighbours::keep_fix(conn, holder, fixed)?;
                neighbours::next_to(conn, holder, fixed)?
            }
        };
        let cameras = match (&record.act, &self.cameras) {
            (Act::Photo { .. }, None) => accounts::cameras_of(conn, subject.device)?,
            (Act::Photo { .. }, Some(cameras)) => cameras.clone(),
            _ => Vec::new(),
        };
        if matches!(record.act, Act::Photo { .. }) {
            self.cameras = Some(cameras.clone());
        }
        Ok(Beside { fixed, neighbours, cameras })
    }

    /// Writes what was found at a record, and what it means for earlier ones.
    pub fn note(
        &mut self,
        conn: &mut Conn,
        subject: Subject<'_>,
        record: &Record,
        visit: Option<&Visit>,
        found: Vec<NewFinding>,
        now: Timestamp,
    ) -> Result<()> {
        for finding in found {
            findings::add(conn, subject, &finding, now)?;
            let told = Hole::told(
                subject.visit.cloned(),
                Some(subject.record.clone()),
                finding.signal,
                &finding.values,
            );
            self.holes.extend(told);
        }
        for (hole, finding) in filled(subject.record, record.seq, &self.holes) {
            let told_at = hole.told_at.as_ref().map_or("", Sha256::as_str);
            let about = format!("{}:{told_at}", subject.record);
            let subject = Subject { visit: hole.visit.as_ref().or(subject.visit), ..subject };
            findings::add_about(conn, subject, &finding, &about, now)?;
        }
        self.sighting(conn, subject, record, visit, now)?;
        if let Some(visit) = visit {
            self.touched.insert(visit.id.clone(), visit.time_zone.parse().ok());
        }
        Ok(())
    }

    /// Compares a serial with every earlier sighting, and tells both sides where the places differ.
    fn sighting(
        &self,
        conn: &mut Conn,
        subject: Subject<'_>,
        record: &Record,
        visit: Option<&Visit>,
        now: Timestamp,
    ) -> Result<()> {
        let Some((serial, key)) = neighbours::serial_of(record) else { return Ok(()) };
        let here = Sighting {
            record: subject.record.clone(),
            visit: subject.visit.cloned(),
            site: visit.map(|visit| visit.site.clone()),
            site_name: visit.map(|visit| visit.site_name.clone()),
            position: record.place.as_ref().map(|fix| fix.position),
            seen_at: record.clock.device_at,
        };
        neighbours::keep_sighting(conn, subject.device, &key, &here)?;
        for (device, other) in neighbours::sightings(conn, &key, subject.record)? {
            if !elsewhere(&here, &other) {
                continue;
            }
            let about = format!("{}:{}", here.record, other.record);
            findings::add_about(conn, subject, &seen_elsewhere(serial, &here, &other), &about, now)?;
            let there = Subject { visit: other.visit.as_ref(), device: &device, record: &other.record };
            let about = format!("{}:{}", other.record, here.record);
            findings::add_about(conn, there, &seen_elsewhere(serial, &other, &here), &about, now)?;
        }
        Ok(())
    }

    /// What is to be said of each touched visit as a whole, once its close is held. True where a stored track
    /// is to be looked into once more.
    pub fn end(self, conn: &mut Conn, device: &DeviceId, now: Timestamp) -> Result<bool> {
        let mut look_again = false;
        for (visit, zone) in self.touched {
            look_again |= store::reexamine_tracks(conn, device, &visit)?;
            let records: Vec<(Sha256, Record)> = store::records_of_visit(conn, &visit)?
                .into_iter()
                .filter(|stored| &stored.device == device && stored.quarantine.is_none())
                .filter_map(|stored| Some((stored.hash, stored.record?)))
                .collect();
            let closes = |(_, record): &&(Sha256, Record)| matches!(record.act, Act::VisitClose { .. });
            let Some((close, _)) = records.iter().rfind(closes) else { continue };
            let held: BTreeSet<u64> = store::chain(conn, device)?
                .into_iter()
                .filter_map(|link| u64::try_from(link.seq?).ok())
                .collect();
            let found = observe::missing(&records, &held).into_iter().chain(observe::offsets(&records, zone));
            for said in found {
                let record = said.record.as_ref().unwrap_or(close);
                let subject = Subject { visit: Some(&visit), device, record };
                let about = match &said.record {
                    Some(record) => format!("{record}:{}", said.about),
                    None => format!("{device}:{visit}:{}", Sha256::of(said.about.as_bytes())),
                };
                findings::add_about(conn, subject, &said.finding, &about, now)?;
            }
        }
        Ok(look_again)
    }
}
