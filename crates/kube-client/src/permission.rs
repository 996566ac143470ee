//! May I? Asked of the authorizer before the first write, and after a 403, which a webhook answers, too.

use std::collections::BTreeSet;

use fairlead_migration::obstacle::Obstacle;
use http::{Request, header};
use serde_json::json;

use crate::cluster::Cluster;
use crate::operation::{Operation, rules};
use crate::request::{Error, obstacle};
use crate::resource::Resource;

/// Something that will be done, to one kind.
#[derive(Clone, Debug)]
pub struct Need {
    /// The kind.
    pub resource: Resource,
    /// Verb of RBAC.
    pub verb: &'static str,
    /// `status` or `scale`, where that part has an endpoint of its own.
    pub subresource: Option<&'static str>,
    /// Where; none for cluster-scoped kinds.
    pub namespaces: BTreeSet<String>,
}

const OF_OTHERS: &str = "SubjectAccessReview";
const OF_OURSELVES: &str = "SelfSubjectAccessReview";

/// What is created to ask.
fn plural(user: Option<&str>) -> String {
    format!("{}s", if user.is_some() { OF_OTHERS } else { OF_OURSELVES }.to_lowercase())
}

impl Cluster {
    /// Fails with every rule that is missing, not only the first.
    ///
    /// # Errors
    ///
    /// [`Obstacle::Forbidden`] whose operation begins with `ask` where one may not even ask.
    pub async fn require(&self, needs: &[Need]) -> Result<(), Obstacle> {
        self.require_of(None, needs).await
    }

    /// The same for another user, `system:serviceaccount:a:b` say.
    ///
    /// # Errors
    ///
    /// [`Obstacle::Forbidden`] whose operation begins with `ask` where one may not ask for others.
    pub async fn require_for(&self, user: &str, needs: &[Need]) -> Result<(), Obstacle> {
        self.require_of(Some(user), needs).await
    }

    /// Whether a user may read a Secret, which a Role may allow by its name.
    ///
    /// # Errors
    ///
    /// [`Obstacle::Forbidden`] whose operation begins with `ask` where one may not ask for others.
    pub async fn may_get_secret(&self, user: &str, namespace: &str, name: &str) -> Result<bool, Obstacle> {
        let secrets = Resource::core("Secret", "secrets", true);
        let operation = Operation { namespace: Some(namespace), name: Some(name), ..Operation::new("get", &secrets) };
        self.ask(Some(user), operation).await
    }

    async fn require_of(&self, user: Option<&str>, needs: &[Need]) -> Result<(), Obstacle> {
        let mut missing = Vec::new();
        for need in needs {
            let everywhere = Operation { subresource: need.subresource, ..Operation::new(need.verb, &need.resource) };
            if self.ask(user, everywhere).await? {
                continue;
            }
            let mut denied: Vec<&str> = Vec::new();
            for namespace in &need.namespaces {
                if !self.ask(user, Operation { namespace: Some(namespace), ..everywhere }).await? {
                    denied.push(namespace.as_str());
                }
            }
            match denied.as_slice() {
                [] if !need.namespaces.is_empty() => {}
                [namespace] => missing.push(Operation { namespace: Some(namespace), ..everywhere }),
                _ => missing.push(everywhere),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let source = "the authorizer does not allow it".into();
        let operation = "get the permissions for this plan".to_owned();
        Err(Obstacle::Forbidden { operation, rule: rules(&missing), source })
    }

    async fn ask(&self, user: Option<&str>, operation: Operation<'_>) -> Result<bool, Obstacle> {
        let error = match self.review_of(user, operation).await {
            Ok(is_allowed) => return Ok(is_allowed),
            Err(error) => error,
        };
        let operation = format!("ask whether {} may {operation}", user.unwrap_or("we"));
        if error.status().is_some_and(|status| status.code == 403) {
            let rule = format!("create {}", plural(user));
            return Err(Obstacle::Forbidden { operation, rule, source: Box::new(error) });
        }
        Err(obstacle(operation, error))
    }

    /// Whether the authorizer allows it.
    pub(crate) async fn review(&self, operation: Operation<'_>) -> Result<bool, Error> {
        self.review_of(None, operation).await
    }

    async fn review_of(&self, user: Option<&str>, operation: Operation<'_>) -> Result<bool, Error> {
        let Operation { verb, resource, subresource, namespace, name } = operation;
        let kind = if user.is_some() { OF_OTHERS } else { OF_OURSELVES };
        let mut review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": kind,
            "spec": {"resourceAttributes": {
                "verb": verb, "group": resource.group, "resource": resource.plural, "subresource": subresource, "namespace": namespace, "name": name,
            }},
        });
        if let Some(user) = user {
            review["spec"]["user"] = user.into();
            // The API server does not look for the groups of a user that it is asked about.
            if let Some((namespace, _)) = user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
                let of_namespace = format!("system:serviceaccounts:{namespace}");
                review["spec"]["groups"] = json!(["system:serviceaccounts", of_namespace, "system:authenticated"]);
            }
        }
        let request = Request::post(format!("/apis/authorization.k8s.io/v1/{}", plural(user)))
            .header(header::CONTENT_TYPE, "application/json")
            .body(review.to_string().into_bytes())
            .map_err(Error::Request)?;
        Ok(self.send(request).await?["status"]["allowed"] == true)
    }
}
