//! The store key: random, wrapped by a key from the passphrase, kept for some hours by the kernel.
//!
//! Turning the passphrase into a key is slow by design, so no capture waits for it while the kernel's
//! keyring holds the store key; `endcheck lock` takes it out. Nothing here ever writes the key in clear.

use anyhow::Context as _;
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use diesel::prelude::*;
use zeroize::Zeroizing;

use crate::environment::{Environment, PassphraseCost};
use crate::refusal::refuse;
use crate::store::schema::vault;
use crate::ui::Ui;

const NONCE_BYTES: usize = 24;

/// The one row that tells how to come to the store key.
#[derive(Insertable, Queryable, Selectable)]
#[diesel(table_name = vault)]
struct VaultRow {
    id: i32,
    store_id: String,
    memory_kib: i64,
    passes: i64,
    salt: Vec<u8>,
    wrapped_key: Vec<u8>,
}

/// Where a sealed value stands; sealed with it, so that it opens nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'a> {
    pub table: &'static str,
    pub column: &'static str,
    pub row: &'a str,
}

/// The key under which the store's payload columns are sealed.
pub struct StoreKey(Zeroizing<[u8; 32]>);

impl StoreKey {
    /// Seals `plaintext` for `cell`: nonce, then ciphertext.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn seal(&self, cell: Cell<'_>, plaintext: &[u8]) -> anyhow::Result<Vec<u8>> {
        let nonce: [u8; NONCE_BYTES] = random()?;
        let aad = cell.aad();
        let sealed = XChaCha20Poly1305::new(&(*self.0).into())
            .encrypt(&XNonce::from(nonce), Payload { msg: plaintext, aad: &aad })
            .map_err(|_| anyhow::anyhow!("{} bytes cannot be sealed", plaintext.len()))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what [`Self::seal`] made for the same cell.
    ///
    /// # Errors
    /// When the bytes were changed, moved from elsewhere or sealed under another key.
    pub fn open(&self, cell: Cell<'_>, sealed: &[u8]) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        let broken = || {
            anyhow::anyhow!(
                "the store is damaged: {}.{} of {} does not open",
                cell.table,
                cell.column,
                cell.row
            )
        };
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or_else(broken)?;
        let aad = cell.aad();
        XChaCha20Poly1305::new(&(*self.0).into())
            .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &aad })
            .map(Zeroizing::new)
            .map_err(|_| broken())
    }
}

impl Cell<'_> {
    fn aad(self) -> Vec<u8> {
        format!("endcheck-agent-1\0{}\0{}\0{}", self.table, self.column, self.row).into_bytes()
    }
}

/// Makes the store key and wraps it by `passphrase`; does nothing to a vault that is there.
///
/// # Errors
/// When the vault cannot be written.
pub fn create(conn: &mut SqliteConnection, passphrase: &str, cost: PassphraseCost) -> anyhow::Result<()> {
    let store_id = hex::encode(random::<16>()?);
    let salt: [u8; 16] = random()?;
    let key = StoreKey(Zeroizing::new(random()?));
    let wrapping = derive(passphrase, &salt, cost.memory_kib, cost.passes)?;
    let wrapped_key = wrapping.seal(wrapped_cell(&store_id), key.0.as_slice())?;
    let row = VaultRow {
        id: 1,
        store_id,
        memory_kib: cost.memory_kib.into(),
        passes: cost.passes.into(),
        salt: salt.to_vec(),
        wrapped_key,
    };
    diesel::insert_into(vault::table).values(row).on_conflict_do_nothing().execute(conn)?;
    Ok(())
}

/// Whether the store has a key yet.
///
/// # Errors
/// When the database cannot be read.
pub fn exists(conn: &mut SqliteConnection) -> QueryResult<bool> {
    Ok(load(conn)?.is_some())
}

/// The store key: from the kernel's keyring, else by the passphrase given or typed.
///
/// # Errors
/// When there is no passphrase to be had, or it is the wrong one.
pub fn unlock(
    conn: &mut SqliteConnection,
    environment: &Environment,
    ui: &Ui<'_>,
) -> anyhow::Result<StoreKey> {
    let row = load(conn)?.ok_or_else(crate::store::not_enrolled)?;
    if environment.keyring
        && let Some(key) = keyring::get(&row.store_id)
    {
        return Ok(key);
    }
    let passphrase = match &environment.passphrase {
        Some(passphrase) => passphrase.clone(),
        None => ui.passphrase("Passphrase")?,
    };
    let memory_kib = u32::try_from(row.memory_kib).context("the vault is damaged")?;
    let passes = u32::try_from(row.passes).context("the vault is damaged")?;
    let wrapping = derive(&passphrase, &row.salt, memory_kib, passes)?;
    let opened = wrapping.open(wrapped_cell(&row.store_id), &row.wrapped_key).map_err(|_| {
        refuse(
            "the passphrase does not open this store",
            "Try again. Nobody can recover a lost passphrase; what is not handed in yet would be lost.",
        )
    })?;
    let key: [u8; 32] = opened.as_slice().try_into().context("the vault is damaged")?;
    let key = StoreKey(Zeroizing::new(key));
    if environment.keyring {
        keyring::put(&row.store_id, &key);
    }
    Ok(key)
}

/// Takes the store key out of the kernel's keyring; says whether it was there.
///
/// # Errors
/// When the database cannot be read, or the kernel will not let go of the key.
pub fn lock(conn: &mut SqliteConnection) -> anyhow::Result<bool> {
    match load(conn)? {
        Some(row) => keyring::drop(&row.store_id),
        None => Ok(false),
    }
}

fn load(conn: &mut SqliteConnection) -> QueryResult<Option<VaultRow>> {
    vault::table.select(VaultRow::as_select()).first(conn).optional()
}

fn wrapped_cell(store_id: &str) -> Cell<'_> {
    Cell { table: "vault", column: "wrapped_key", row: store_id }
}

fn derive(passphrase: &str, salt: &[u8], memory_kib: u32, passes: u32) -> anyhow::Result<StoreKey> {
    let wrong = |error: argon2::Error| anyhow::anyhow!("the passphrase cannot be used: {error}");
    let parameters = Params::new(memory_kib, passes, 1, Some(32)).map_err(wrong)?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
        .hash_password_into(passphrase.as_bytes(), salt, key.as_mut_slice())
        .map_err(wrong)?;
    Ok(StoreKey(key))
}

/// Random bytes from the operating system.
///
/// # Errors
/// When it has none to give.
pub fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("the system gives no randomness: {error}"))?;
    Ok(bytes)
}

#[cfg(target_os = "linux")]
mod keyring {
    //! The kernel's keyring of this user; where a sandbox forbids it, there is simply no cache.

    use linux_keyutils::{Key, KeyError, KeyPermissionsBuilder, KeyRing, KeyRingIdentifier, Permission};
    use zeroize::Zeroizing;

    use super::StoreKey;

    /// Hours that the kernel keeps the key.
    const KEPT_S: usize = 8 * 3600;

    fn find(store_id: &str) -> Result<Key, KeyError> {
        KeyRing::from_special_id(KeyRingIdentifier::User, false)?.search(&description(store_id))
    }

    fn description(store_id: &str) -> String {
        format!("endcheck:{store_id}")
    }

    pub(super) fn get(store_id: &str) -> Option<StoreKey> {
        let key = find(store_id).ok()?;
        let mut bytes = Zeroizing::new([0; 32]);
        let read = key.read(&mut *bytes).ok()?;
        (read == 32).then_some(StoreKey(bytes))
    }

    pub(super) fn put(store_id: &str, key: &StoreKey) {
        let kept = || -> Result<(), KeyError> {
            let ring = KeyRing::from_special_id(KeyRingIdentifier::User, true)?;
            let added = ring.add_key(&description(store_id), key.0.as_slice())?;
            // A terminal whose session does not possess the user's keyring still has to read it.
            let permissions =
                KeyPermissionsBuilder::builder().posessor(Permission::ALL).user(Permission::ALL).build();
            added.set_perms(permissions)?;
            added.set_timeout(KEPT_S)
        };
        // A cache that cannot be filled costs time, not safety.
        kept().unwrap_or_default();
    }

    pub(super) fn drop(store_id: &str) -> anyhow::Result<bool> {
        match find(store_id) {
            Ok(key) => key
                .invalidate()
                .map(|()| true)
                .map_err(|error| anyhow::anyhow!("the kernel does not let go of the store key: {error}")),
            Err(_) => Ok(false),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod keyring {
    //! No keyring here: every command asks for the passphrase.

    pub(super) fn get(_: &str) -> Option<super::StoreKey> {
        None
    }
    pub(super) fn put(_: &str, _: &super::StoreKey) {}
    pub(super) fn drop(_: &str) -> anyhow::Result<bool> {
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_in_its_own_cell_only() {
        let key = StoreKey(Zeroizing::new([7; 32]));
        let cell = Cell { table: "settings", column: "sealed_value", row: "a" };
        let sealed = key.seal(cell, b"secret").unwrap();
        assert_ne!(sealed, key.seal(cell, b"secret").unwrap());
        assert_eq!(key.open(cell, &sealed).unwrap().as_slice(), b"secret");
        assert!(key.open(Cell { row: "b", ..cell }, &sealed).is_err());
        assert!(key.open(Cell { table: "visits", ..cell }, &sealed).is_err());
        assert!(StoreKey(Zeroizing::new([8; 32])).open(cell, &sealed).is_err());
        for cut in [0, 10, sealed.len() - 1] {
            assert!(key.open(cell, &sealed[..cut]).is_err());
        }
    }

    #[test]
    fn the_kernel_keeps_the_key_until_it_is_dropped() {
        let store_id = hex::encode(random::<16>().unwrap());
        let key = StoreKey(Zeroizing::new([5; 32]));
        keyring::put(&store_id, &key);
        let Some(kept) = keyring::get(&store_id) else {
            println!("this system keeps no keys; nothing to see");
            return;
        };
        assert_eq!(*kept.0, [5; 32]);
        assert!(keyring::drop(&store_id).unwrap());
        assert!(keyring::get(&store_id).is_none());
        assert!(!keyring::drop(&store_id).unwrap());
    }
}
