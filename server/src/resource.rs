//! A path and its methods. HEAD is answered wherever GET is; any other method is refused by name,
//! with the methods that there are.

use actix_web::dev::{AppService, HttpServiceFactory};
use actix_web::http::Method;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::{FromRequest, Handler, Resource, Responder, ResponseError as _, guard, web};

use crate::error::Error;

/// A path whose methods are being listed.
pub struct Methods {
    resource: Resource,
    allow: String,
}

/// A path that has no method yet.
#[must_use]
pub fn resource(path: &str) -> Methods {
    Methods { resource: web::resource(path), allow: String::new() }
}

impl Methods {
    /// Answers GET, and HEAD with the same headers.
    #[must_use]
    pub fn get<F, Args>(mut self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let either = guard::Any(guard::Get()).or(guard::Head());
        self.resource = self.resource.route(web::route().guard(either).to(handler));
        self.allows("GET, HEAD")
    }

    #[must_use]
    pub fn post<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(&Method::POST, handler)
    }

    #[must_use]
    pub fn put<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(&Method::PUT, handler)
    }

    fn on<F, Args>(mut self, method: &Method, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.resource = self.resource.route(web::method(method.clone()).to(handler));
        self.allows(method.as_str())
    }

    fn allows(mut self, methods: &str) -> Self {
        if !self.allow.is_empty() {
            self.allow.push_str(", ");
        }
        self.allow.push_str(methods);
        self
    }
}

impl HttpServiceFactory for Methods {
    fn register(self, config: &mut AppService) {
        let allow = self.allow;
        let refuse = web::to(move || {
            let refused = Error::with_status(
                405,
                "method-not-allowed",
                "This path has no such method",
                format!("This path takes {allow}; /api/openapi.json describes the methods of each path."),
            );
            let mut response = refused.error_response();
            if let Ok(value) = HeaderValue::from_str(&allow) {
                response.headers_mut().insert(ALLOW, value);
            }
            std::future::ready(response)
        });
        self.resource.default_service(refuse).register(config);
    }
}
