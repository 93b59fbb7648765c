//! People: adding them, listing them, disabling them.

use std::collections::HashMap;

use endcheck_protocol::ids::UserId;
use endcheck_protocol::problem::FieldProblem;
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::sign_in::normal_login;
use super::store::{self, UserRow};
use super::{Actor, Permission, Role, passwords};
use crate::db::Conn;
use crate::error::{Error, Result};

/// Opens an account.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddUser {
    /// Letters, digits and `. _ - @`; case does not matter.
    pub login: String,
    /// As it is to be read in reports.
    pub name: String,
    /// At least 12 characters.
    pub password: String,
    pub roles: Vec<Role>,
}

/// A person with an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct User {
    pub id: UserId,
    pub login: String,
    pub name: String,
    pub roles: Vec<Role>,
    /// Where they are written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<String>,
    pub created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Timestamp>,
}

impl UserRow {
    fn shown(self) -> Result<User> {
        let roles = self.roles()?;
        Ok(User {
            id: self.id,
            login: self.login,
            name: self.name,
            roles,
            mail: self.mail,
            created_at: self.created_at,
            disabled_at: self.disabled_at,
        })
    }
}

/// Opens an account. The same login, name, roles and password again answer with the account there is.
///
/// Hashes a password: not for an async worker.
///
/// # Errors
/// 422 naming each bad field; 409 `login-taken`.
pub fn add_user(
    conn: &mut Conn,
    login: &str,
    name: &str,
    password: &str,
    roles: &[Role],
    now: Timestamp,
) -> Result<User> {
    let login = normal_login(login);
    let name = name.trim();
    let roles = checked(&login, name, roles)?;
    passwords::check(password)?;
    let taken = || Error::conflict("login-taken", format!("The login {login:?} belongs to another account."));
    if let Some(there) = store::user_by_login(conn, &login)? {
        let same = there.name == name
            && there.roles()? == roles
            && passwords::matches(password, Some(&there.password_hash))?;
        return if same { there.shown() } else { Err(taken()) };
    }
    let row = UserRow::new(login.clone(), name.to_owned(), passwords::hash(password)?, &roles, now)?;
    conn.write(|conn| if store::insert_user(conn, &row)? { Ok(()) } else { Err(taken()) })?;
    row.shown()
}

/// The roles in order, once each.
fn checked(login: &str, name: &str, roles: &[Role]) -> Result<Vec<Role>> {
    let mut errors = Vec::new();
    let mut wrong = |field: &str, reason: &str| {
        errors.push(FieldProblem { line: None, field: field.to_owned(), reason: reason.to_owned() });
    };
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    if login.is_empty() || login.chars().count() > 100 || !login.chars().all(plain) {
        wrong("login", "is 1 to 100 letters, digits and . _ - @");
    }
    if name.is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
        wrong("name", "is 1 to 200 characters on one line");
    }
    if roles.is_empty() {
        wrong("roles", "needs at least one of inspector, manager, investigator, adjudicator, auditor, admin");
    }
    if !errors.is_empty() {
        return Err(Error::invalid(errors));
    }
    let mut roles = roles.to_vec();
    roles.sort();
    roles.dedup();
    Ok(roles)
}

/// Every account, by login.
///
/// # Errors
/// 403 without the permission to manage accounts.
pub fn list(conn: &mut Conn, actor: &Actor) -> Result<Vec<User>> {
    actor.require(Permission::ManageAccounts)?;
    store::all_users(conn)?.into_iter().map(UserRow::shown).collect()
}

/// Those whose accounts are open and who may do something.
///
/// # Errors
/// When the database fails.
pub fn holders(conn: &mut Conn, permission: Permission) -> Result<Vec<UserId>> {
    let mut holders = Vec::new();
    for user in store::all_users(conn)?.into_iter().filter(|user| user.disabled_at.is_none()) {
        if user.roles()?.into_iter().any(|role| permission.held_by(role)) {
            holders.push(user.id);
        }
    }
    Ok(holders)
}

/// One account.
///
/// # Errors
/// 404 when there is none.
pub fn find(conn: &mut Conn, id: &UserId) -> Result<User> {
    store::user(conn, id)?.ok_or_else(|| Error::not_found("account"))?.shown()
}

/// A mail address.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetMail {
    /// Absent or null: the person is not written to.
    pub mail: Option<String>,
}

/// Says where a person is written to, or that they are not.
///
/// # Errors
/// 422 `invalid-fields` when it is no address; 404 when there is no such account.
pub fn set_mail(conn: &mut Conn, id: &UserId, mail: Option<&str>) -> Result<User> {
    if let Some(mail) = mail
        && mail.parse::<lettre::Address>().is_err()
    {
        return Err(Error::invalid_field("mail", "is no mail address, such as name@example.org"));
    }
    store::set_mail(conn, id, mail)?;
    find(conn, id)
}

/// Where a person is written to, while the account is not disabled.
///
/// # Errors
/// When the database fails.
pub fn mail_of(conn: &mut Conn, id: &UserId) -> Result<Option<String>> {
    let row = store::user(conn, id)?;
    Ok(row.filter(|row| row.disabled_at.is_none()).and_then(|row| row.mail))
}

/// Disables an account: its sessions and refresh tokens end, and it cannot sign in again.
///
/// # Errors
/// 403 for anybody but an administrator; 404; 409 `own-account`.
pub fn disable(conn: &mut Conn, actor: &Actor, id: &UserId, now: Timestamp) -> Result<User> {
    actor.require_role(Role::Admin)?;
    if actor.user == *id {
        return Err(Error::conflict(
            "own-account",
            "Nobody disables the account they are using: another administrator must.",
        ));
    }
    find(conn, id)?;
    store::disable_user(conn, id, now)?;
    find(conn, id)
}

/// Inspectors whose accounts are open, by login: id and name.
///
/// # Errors
/// When the database fails.
pub fn inspectors(conn: &mut Conn) -> Result<HashMap<String, (UserId, String)>> {
    let mut found = HashMap::new();
    for user in store::all_users(conn)?.into_iter().filter(|user| user.disabled_at.is_none()) {
        if user.roles()?.contains(&Role::Inspector) {
            found.insert(user.login, (user.id, user.name));
        }
    }
    Ok(found)
}

/// Whether the account exists, is not disabled, and may make visits.
///
/// # Errors
/// When the database fails.
pub fn is_active_inspector(conn: &mut Conn, id: &UserId) -> Result<bool> {
    match find(conn, id) {
        Ok(user) => Ok(user.disabled_at.is_none() && user.roles.contains(&Role::Inspector)),
        Err(error) if error.code() == "not-found" => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_field_is_named_and_roles_are_put_in_order() {
        let Err(error) = checked("no spaces", "", &[]) else { panic!("accepted") };
        let fields: Vec<_> = error.problem().errors.into_iter().map(|e| e.field).collect();
        assert_eq!(fields, ["login", "name", "roles"]);
        let roles = checked("ada", "Ada", &[Role::Admin, Role::Inspector, Role::Admin]).unwrap();
        assert_eq!(roles, [Role::Inspector, Role::Admin]);
    }
}
