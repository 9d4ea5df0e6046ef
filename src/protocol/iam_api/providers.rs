//! OpenID Connect providers' actions.

use super::Iam;
use crate::identity::{NewProvider, iso8601};
use crate::protocol::query_api::{Answer, QueryError, Xml};

fn arn<'a>(iam: &Iam<'a>) -> Result<&'a str, QueryError> {
    iam.form().required("OpenIDConnectProviderArn")
}

pub(super) async fn create(iam: &Iam<'_>) -> Answer {
    let form = iam.form();
    let new = NewProvider {
        url: form.required("Url")?.to_owned(),
        client_ids: form.list("ClientIDList")?,
        thumbprints: form.list("ThumbprintList")?,
        tags: form.tags("Tags")?,
    };
    let tags = new.tags.clone();
    let arn = iam.identities.create_provider(iam.account, new, iam.call.now).await?;
    let mut xml = Xml::new();
    xml.text("OpenIDConnectProviderArn", &arn);
    if !tags.is_empty() {
        xml.tags("Tags", &tags);
    }
    Ok(xml)
}

/// AWS writes the issuer without its scheme; the URL that was given names the scheme, too, where it is not https.
pub(super) async fn get(iam: &Iam<'_>) -> Answer {
    let provider = iam.identities.provider(iam.account, arn(iam)?).await?;
    let mut xml = Xml::new();
    xml.text("Url", provider.url.strip_prefix("https://").unwrap_or(&provider.url));
    xml.texts("ClientIDList", &provider.client_ids);
    xml.texts("ThumbprintList", &provider.thumbprints);
    xml.text("CreateDate", &iso8601(provider.created));
    if !provider.tags.is_empty() {
        xml.tags("Tags", &provider.tags);
    }
    Ok(xml)
}

pub(super) async fn list(iam: &Iam<'_>) -> Answer {
    let providers = iam.identities.providers(iam.account).await?;
    let mut xml = Xml::new();
    xml.list("OpenIDConnectProviderList", &providers, |xml, (arn, _)| xml.text("Arn", arn));
    Ok(xml)
}

pub(super) async fn delete(iam: &Iam<'_>) -> Answer {
    iam.identities.delete_provider(iam.account, arn(iam)?).await?;
    Ok(Xml::new())
}

pub(super) async fn add_client_id(iam: &Iam<'_>) -> Answer {
    iam.identities.add_client_id(iam.account, arn(iam)?, iam.form().required("ClientID")?).await?;
    Ok(Xml::new())
}

pub(super) async fn remove_client_id(iam: &Iam<'_>) -> Answer {
    iam.identities.remove_client_id(iam.account, arn(iam)?, iam.form().required("ClientID")?).await?;
    Ok(Xml::new())
}

pub(super) async fn update_thumbprints(iam: &Iam<'_>) -> Answer {
    iam.identities.set_thumbprints(iam.account, arn(iam)?, &iam.form().list("ThumbprintList")?).await?;
    Ok(Xml::new())
}

pub(super) async fn tag(iam: &Iam<'_>) -> Answer {
    iam.identities.tag_provider(iam.account, arn(iam)?, &iam.form().tags("Tags")?).await?;
    Ok(Xml::new())
}

pub(super) async fn untag(iam: &Iam<'_>) -> Answer {
    iam.identities.untag_provider(iam.account, arn(iam)?, &iam.form().list("TagKeys")?).await?;
    Ok(Xml::new())
}

pub(super) async fn list_tags(iam: &Iam<'_>) -> Answer {
    let provider = iam.identities.provider(iam.account, arn(iam)?).await?;
    iam.tags_page(provider.tags)
}
