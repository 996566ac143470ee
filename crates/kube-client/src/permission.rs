//! May I? Asked of the authorizer before the first write, and after a 403, which a webhook answers, too.

use std::collections::BTreeSet;

use fairlead_migration::obstacle::Obstacle;
use http::{Request, header};
use serde_json::json;

use crate::cluster::Cluster;
use crate::operation::{Operation, rule};
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

impl Cluster {
    /// Fails with every rule that is missing, not only the first.
    pub async fn require(&self, needs: &[Need]) -> Result<(), Obstacle> {
        let mut missing = Vec::new();
        for need in needs {
            let everywhere = Operation { subresource: need.subresource, ..Operation::new(need.verb, &need.resource) };
            if self.ask(everywhere).await? {
                continue;
            }
            let mut denied = Vec::new();
            for namespace in &need.namespaces {
                if !self.ask(Operation { namespace: Some(namespace), ..everywhere }).await? {
                    denied.push(namespace.as_str());
                }
            }
            match denied.as_slice() {
                [] if !need.namespaces.is_empty() => {}
                [namespace] => missing.push(rule(Operation { namespace: Some(namespace), ..everywhere })),
                _ => missing.push(rule(everywhere)),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let source = "the authorizer does not allow it".into();
        Err(Obstacle::Forbidden {
            operation: "get the permissions for this plan".to_owned(),
            rule: missing.join("; "),
            source,
        })
    }

    async fn ask(&self, operation: Operation<'_>) -> Result<bool, Obstacle> {
        self.review(operation).await.map_err(|error| obstacle(format!("ask whether we may {operation}"), error))
    }

    /// Whether the authorizer allows it.
    pub(crate) async fn review(&self, operation: Operation<'_>) -> Result<bool, Error> {
        let Operation { verb, resource, subresource, namespace, name } = operation;
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "verb": verb, "group": resource.group, "resource": resource.plural, "subresource": subresource, "namespace": namespace, "name": name,
            }},
        });
        let request = Request::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
            .header(header::CONTENT_TYPE, "application/json")
            .body(review.to_string().into_bytes())
            .map_err(Error::Request)?;
        Ok(self.send(request).await?["status"]["allowed"] == true)
    }
}
