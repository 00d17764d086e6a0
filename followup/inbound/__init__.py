"""Mail in: reading MIME without trusting it, what kind of mail it is, whose it is, and the customer's own words."""
